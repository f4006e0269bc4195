#include <csignal>

#include "base/file.h"
#include "shim_run.h"

namespace berth::shim {
namespace {

std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

TEST_F(ShimRun, exec_has_streams_and_an_exit_code_of_its_own) {
    begin(shell("exec sleep 100"));
    create_and_start();
    ClientPair client;
    const Reply reply = exec("e1", shell("cat; exit 4"), client, all_streams());
    ASSERT_FALSE(reply.error) << reply.error->message();
    EXPECT_GT(reply.pid, 0);
    client.theirs.reset();
    client.write("through\n");
    client.half_close();
    const ExecExitEvent exit = wait_exec_exit();
    EXPECT_EQ(exit.exec_id, "e1");
    EXPECT_EQ(exit.exit_code, 4);
    EXPECT_EQ(client.read_to_end(), "through\n");
    const Reply state = ask(StateRequest{}).reply;
    ASSERT_EQ(state.state->execs.size(), 1U);
    EXPECT_FALSE(state.state->execs[0].running);
    EXPECT_EQ(state.state->execs[0].exit_code, 4);
    EXPECT_EQ(log_text(), "");
}

TEST_F(ShimRun, exec_that_fails_leaves_the_client_alone) {
    begin(shell("exec sleep 100"));
    create_and_start();
    ClientPair client;
    const Reply reply = exec("e1", {"/no/such"}, client, all_streams());
    ASSERT_TRUE(reply.error);
    EXPECT_NE(reply.error->message().find("executable file not found"), std::string::npos);
    write_all(client.theirs, "still open");
    client.theirs.reset();
    EXPECT_EQ(client.read_to_end(), "still open");
}

TEST_F(ShimRun, exec_whose_descendant_holds_the_streams_still_ends) {
    begin(shell("exec sleep 100"));
    create_and_start();
    ClientPair client;
    const Reply reply = exec("e1", shell("sleep 100 & echo $!"), client, output_only());
    ASSERT_FALSE(reply.error);
    client.theirs.reset();
    const pid_t descendant = std::stoi(client.read_until("\n"));
    EXPECT_EQ(wait_exec_exit().exit_code, 0);
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_EQ(::kill(descendant, 0), 0);
    ::kill(descendant, SIGKILL);
}

TEST_F(ShimRun, execs_end_with_the_container) {
    begin(shell("exec sleep 100"));
    create_and_start();
    ClientPair client;
    ASSERT_FALSE(exec("e1", {"/bin/sleep", "100"}, client, output_only()).error);
    client.theirs.reset();
    ASSERT_FALSE(ask(SignalRequest{SIGKILL, false}).reply.error);
    EXPECT_EQ(wait_exec_exit().exit_code, 137);
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_TRUE(shim_ends());
}

TEST_F(ShimRun, terminal_has_the_size_it_was_given) {
    config.terminal = config.open_stdin = true;
    config.console_height = 33;
    config.console_width = 99;
    begin(shell("stty size; read go; stty size"));
    ClientPair client;
    attach(client, all_streams());
    create_and_start();
    EXPECT_NE(client.read_until("\n").find("33 99"), std::string::npos);
    ASSERT_FALSE(ask(ResizeRequest{std::nullopt, 50, 132}).reply.error);
    client.write("\n");
    EXPECT_NE(client.read_until("132").find("50 132"), std::string::npos);
    EXPECT_EQ(wait_exit().exit_code, 0);
}

TEST_F(ShimRun, exec_terminal_can_be_resized) {
    begin(shell("exec sleep 100"));
    create_and_start();
    ClientPair client;
    const Reply reply = exec("e1", shell("read go; stty size"), client, all_streams(), true);
    ASSERT_FALSE(reply.error) << reply.error->message();
    ASSERT_FALSE(ask(ResizeRequest{"e1", 20, 61}).reply.error);
    client.write("\n");
    EXPECT_NE(client.read_until("61").find("20 61"), std::string::npos);
    EXPECT_EQ(wait_exec_exit().exit_code, 0);
}

TEST_F(ShimRun, detach_keys_end_the_client_and_not_the_container) {
    config.terminal = config.open_stdin = true;
    begin({"/bin/cat"});
    ClientPair client;
    StreamOptions options = all_streams();
    options.detach_keys = "\x10\x11";
    attach(client, options);
    client.theirs.reset();
    create_and_start();
    client.write("typed\n");
    client.read_until("typed");
    client.write("\x10\x11");
    EXPECT_TRUE(std::holds_alternative<DetachedEvent>(next_event()));
    client.read_to_end();
    EXPECT_EQ(ask(StateRequest{}).reply.state->status, ProcessStatus::running);
}

}  // namespace
}  // namespace berth::shim
