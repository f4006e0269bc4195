#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "base/file.h"
#include "shim_run.h"

namespace berth::shim {
namespace {

std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

TEST_F(ShimRun, reports_the_exit_code_and_writes_exit_json) {
    begin(shell("echo out; echo err >&2; exit 3"));
    create_and_start();
    EXPECT_EQ(wait_exit().exit_code, 3);
    ASSERT_TRUE(shim_ends());
    const ExitRecord record = parse_exit_record(read_file(directory + "/exit.json"));
    EXPECT_EQ(record.exit_code, 3);
    EXPECT_GT(record.exited_at, 0);
    EXPECT_FALSE(record.boot_id.empty());
    EXPECT_FALSE(exists(directory + "/shim.sock"));
    EXPECT_FALSE(exists(directory + "/shim.log"));
    const std::string log = read_file(config.log.path);
    EXPECT_NE(log.find(R"({"log":"out\n","stream":"stdout","time":")"), std::string::npos);
    EXPECT_NE(log.find(R"({"log":"err\n","stream":"stderr","time":")"), std::string::npos);
}

TEST_F(ShimRun, create_gives_a_pidfd_and_the_network_namespace) {
    begin(shell("exit 0"));
    const Replied created = ask(CreateRequest{});
    ASSERT_FALSE(created.reply.error);
    EXPECT_GT(created.reply.pid, 0);
    EXPECT_EQ(created.fds.size(), 2U);
    ASSERT_FALSE(ask(ShutdownRequest{}).reply.error);
    EXPECT_TRUE(shim_ends());
}

TEST_F(ShimRun, death_by_a_signal_is_128_and_the_signal) {
    begin(shell("exec sleep 100"));
    create_and_start();
    ASSERT_FALSE(ask(SignalRequest{SIGKILL, false}).reply.error);
    EXPECT_EQ(wait_exit().exit_code, 137);
}

TEST_F(ShimRun, a_program_that_is_absent_fails_create_with_the_runtimes_text) {
    begin({"/no/such/program"});
    const Reply reply = ask(CreateRequest{}).reply;
    ASSERT_TRUE(reply.error);
    EXPECT_NE(reply.error->message().find("executable file not found"), std::string::npos);
    ASSERT_FALSE(ask(ShutdownRequest{}).reply.error);
    EXPECT_TRUE(shim_ends());
}

TEST_F(ShimRun, stdin_goes_through_cat_and_back_whole) {
    config.open_stdin = config.stdin_once = true;
    begin({"/bin/cat"});
    const std::string sent = pattern(10U << 20);
    ClientPair client;
    ASSERT_FALSE(attach(client, all_streams()).error);
    client.theirs.reset();
    create_and_start();
    std::thread writer([&] {
        client.write(sent);
        client.half_close();
    });
    const std::string got = client.read_until(std::string_view(sent).substr(sent.size() - 64));
    writer.join();
    EXPECT_EQ(wait_exit().exit_code, 0);
    EXPECT_TRUE(got == sent);
    EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(ShimRun, half_close_leaves_stdin_open_without_stdin_once) {
    config.open_stdin = true;
    begin(shell("read a; echo got $a; read b; echo got $b"));
    create_and_start();
    ClientPair first;
    attach(first, all_streams());
    first.write("one\n");
    first.half_close();
    EXPECT_EQ(first.read_until("\n"), "got one\n");
    ClientPair second;
    StreamOptions early = all_streams();
    early.prefix = "two\n";
    attach(second, early);
    EXPECT_EQ(second.read_until("\n"), "got two\n");
    EXPECT_EQ(wait_exit().exit_code, 0);
}

TEST_F(ShimRun, multiplexed_client_gets_frames) {
    begin(shell("echo out; sleep 0.05; echo err >&2"));
    ClientPair client;
    StreamOptions framed = output_only();
    framed.framing = Framing::multiplexed;
    attach(client, framed);
    client.theirs.reset();
    create_and_start();
    wait_exit();
    EXPECT_EQ(client.read_to_end(), std::string("\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n", 24));
}

TEST_F(ShimRun, a_client_sees_the_end_only_after_the_exit_was_acknowledged) {
    begin(shell("echo done"));
    ClientPair client;
    attach(client, output_only());
    client.theirs.reset();
    create_and_start();
    EXPECT_EQ(client.read_until("\n"), "done\n");
    pollfd waiting[2] = {{client.ours.get(), POLLIN, 0}, {control.get(), POLLIN, 0}};
    ASSERT_GT(::poll(waiting, 2, kPatienceMs), 0);
    EXPECT_EQ(waiting[0].revents, 0);
    EXPECT_TRUE(exists(directory + "/exit.json"));
    wait_exit();
    EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(ShimRun, a_stalled_client_holds_nobody_up_and_loses_nothing) {
    begin(
        shell("i=0; while [ $i -lt 6 ]; do head -c 1000000 /dev/zero; i=$((i+1)); done; echo end"));
    ClientPair stalled, reader;
    attach(stalled, output_only());
    attach(reader, output_only());
    stalled.theirs.reset();
    reader.theirs.reset();
    create_and_start();
    EXPECT_EQ(reader.read_until("end\n").size(), 6'000'004U);
    EXPECT_EQ(wait_exit().exit_code, 0);
    EXPECT_EQ(stalled.read_to_end().size(), 6'000'004U);
    EXPECT_TRUE(shim_ends());
}

TEST_F(ShimRun, a_client_that_vanishes_disturbs_nothing) {
    config.open_stdin = true;
    begin(shell("read go; i=0; while [ $i -lt 2000 ]; do echo line; i=$((i+1)); done"));
    create_and_start();
    {
        ClientPair client;
        attach(client, all_streams());
        client.theirs.reset();
        client.write("go\n");
        client.read_until("line");
    }
    EXPECT_EQ(wait_exit().exit_code, 0);
    EXPECT_EQ(log_text().size(), 10000U);
}

TEST_F(ShimRun, lives_on_without_an_engine_and_is_found_again) {
    config.open_stdin = config.stdin_once = true;
    begin({"/bin/cat"});
    create_and_start();
    connect_again();
    const Reply reply = ask(StateRequest{}).reply;
    ASSERT_TRUE(reply.state);
    EXPECT_EQ(reply.state->status, ProcessStatus::running);
    ClientPair client;
    attach(client, all_streams());
    client.theirs.reset();
    client.write("after\n");
    EXPECT_EQ(client.read_until("\n"), "after\n");
    ASSERT_FALSE(ask(CloseStdinRequest{}).reply.error);
    EXPECT_EQ(wait_exit().exit_code, 0);
    EXPECT_EQ(log_text(), "after\n");
}

TEST_F(ShimRun, without_an_engine_the_exit_is_recorded) {
    config.open_stdin = true;
    const std::string gate = directory + "/gate";
    ASSERT_EQ(::mkfifo(gate.c_str(), 0600), 0);
    begin(shell("cat " + gate + "; exit 5"));
    create_and_start();
    control.reset();
    { const UniqueFd open_gate = open_file(gate, O_WRONLY); }
    ASSERT_TRUE(shim_ends());
    EXPECT_EQ(parse_exit_record(read_file(directory + "/exit.json")).exit_code, 5);
}

TEST_F(ShimRun, log_keeps_all_of_a_burst_before_exit) {
    begin(shell("seq 1 200000"));
    create_and_start();
    EXPECT_EQ(wait_exit().exit_code, 0);
    const std::string text = log_text();
    EXPECT_TRUE(text.starts_with("1\n2\n"));
    EXPECT_TRUE(text.ends_with("199999\n200000\n"));
    EXPECT_EQ(text.size(), 1'288'895U);
}

TEST_F(ShimRun, shutdown_kills_and_leaves) {
    begin(shell("exec sleep 100"));
    create_and_start();
    control.reset();
    connect_again();
    send(ShutdownRequest{});
    EXPECT_EQ(wait_exit().exit_code, 137);
    EXPECT_TRUE(shim_ends());
}

}  // namespace
}  // namespace berth::shim
