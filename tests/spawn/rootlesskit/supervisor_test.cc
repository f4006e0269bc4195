#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "linux/message_socket.h"
#include "rootlesskit/preflight.h"
#include "supervisor_world.h"

namespace berth::test {
namespace {

namespace fs = std::filesystem;

class Supervisor : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::getuid() == 0) GTEST_SKIP() << "berthd runs for a plain user, this is root";
        for (const auto& finding : rootlesskit::check(rootlesskit::gather_facts()))
            if (finding.state == rootlesskit::State::broken) GTEST_SKIP() << finding.cause;
    }

    void stop(World::Daemon& daemon) {
        daemon.process.signal(SIGTERM);
        ASSERT_TRUE(wait_gone(daemon.process));
        EXPECT_EQ(daemon.process.reap().code, 0);
    }
    World world;
};

std::string host_namespace(const std::string& name) {
    return fs::read_symlink("/proc/self/ns/" + name).string();
}

TEST_F(Supervisor, becomes_ready_with_the_engine_in_the_right_namespaces) {
    auto daemon = world.start();
    world.read_until(daemon, "ready after");
    EXPECT_EQ(world.ask("uid"), "0");
    EXPECT_EQ(world.ask("net"), host_namespace("net"));
    EXPECT_NE(world.ask("user"), host_namespace("user"));
    EXPECT_NE(world.ask("mnt"), host_namespace("mnt"));
    EXPECT_NE(world.ask("map").find(std::to_string(::getuid())), std::string::npos);
    struct stat socket {};
    ASSERT_EQ(::stat((world.runtime() + "/docker.sock").c_str(), &socket), 0);
    EXPECT_EQ(socket.st_mode & 0777, 0600U);
    stop(daemon);
}

TEST_F(Supervisor, sigterm_leaves_no_process_and_no_file) {
    auto daemon = world.start();
    world.read_until(daemon, "ready after");
    const pid_t holder = world.recorded("holder");
    const pid_t network = world.recorded("network");
    const pid_t engine = world.recorded("engine");
    ASSERT_GT(holder, 0);
    stop(daemon);
    for (const pid_t pid : {holder, network, engine}) EXPECT_TRUE(wait_gone(pid));
    EXPECT_TRUE(fs::is_empty(world.runtime()));
}

TEST_F(Supervisor, second_start_names_the_first) {
    auto daemon = world.start();
    world.read_until(daemon, "ready after");
    const auto [status, output] = world.run();
    EXPECT_EQ(status, 1);
    EXPECT_EQ(output, "berthd: berthd is already running: pid " +
                          std::to_string(daemon.process.pid()) + ", serving unix://" +
                          world.runtime() + "/docker.sock\n");
    stop(daemon);
}

TEST_F(Supervisor, a_crash_of_the_engine_keeps_the_socket) {
    auto daemon = world.start();
    world.read_until(daemon, "ready after");
    const std::string before = world.ask("pid");
    const pid_t network = world.recorded("network");
    world.ask("crash");
    // Connects at once: the kernel queues the client until the next engine accepts.
    const std::string after = world.ask("pid");
    EXPECT_NE(after, before);
    EXPECT_EQ(after, std::to_string(world.recorded("engine")));
    EXPECT_EQ(world.recorded("network"), network);
    stop(daemon);
}

TEST_F(Supervisor, a_killed_supervisor_is_followed_by_one_that_adopts) {
    auto first = world.start();
    world.read_until(first, "ready after");
    const pid_t holder = world.recorded("holder");
    const pid_t network = world.recorded("network");
    const std::string user = world.ask("user");
    first.process.signal(SIGKILL);
    (void)first.process.reap();
    auto second = world.start();
    world.read_until(second, "ready after");
    EXPECT_EQ(world.recorded("holder"), holder);
    EXPECT_EQ(world.recorded("network"), network);
    EXPECT_EQ(world.ask("user"), user);
    stop(second);
    EXPECT_TRUE(wait_gone(holder));
    EXPECT_TRUE(wait_gone(network));
}

TEST_F(Supervisor, a_lost_holder_is_made_again_in_the_same_user_namespace) {
    auto daemon = world.start();
    world.read_until(daemon, "ready after");
    const std::string user = world.ask("user");
    const linux_os::PidFd holder = linux_os::PidFd::open(world.recorded("holder"));
    holder.signal(SIGKILL);
    world.read_until(daemon, "berth-engine started again");
    EXPECT_EQ(world.ask("user"), user);
    EXPECT_NE(world.recorded("holder"), holder.pid());
    stop(daemon);
}

TEST_F(Supervisor, a_start_without_holder_joins_the_user_namespace_that_survived) {
    auto first = world.start();
    world.read_until(first, "ready after");
    const std::string user = world.ask("user");
    const auto network = linux_os::PidFd::open(world.recorded("network"));
    const auto holder = linux_os::PidFd::open(world.recorded("holder"));
    first.process.signal(SIGKILL);
    (void)first.process.reap();
    holder.signal(SIGKILL);
    ASSERT_TRUE(wait_gone(holder));
    auto second = world.start();
    world.read_until(second, "ready after");
    EXPECT_EQ(world.ask("user"), user);
    EXPECT_TRUE(wait_gone(network)) << "it serves the lost holder's network namespace";
    stop(second);
}

TEST_F(Supervisor, containers_that_run_on_keep_holder_and_network) {
    auto daemon = world.start();
    world.read_until(daemon, "ready after");
    make_directories(world.exec_root() + "/c/0123456789ab");
    const UniqueFd shim =
        linux_os::listen_messages(world.exec_root() + "/c/0123456789ab/shim.sock");
    const auto holder = linux_os::PidFd::open(world.recorded("holder"));
    const auto network = linux_os::PidFd::open(world.recorded("network"));
    stop(daemon);
    EXPECT_TRUE(holder.alive());
    EXPECT_TRUE(network.alive());
    EXPECT_EQ(world.recorded("engine"), -1);
}

TEST_F(Supervisor, without_systemd_it_starts_and_says_what_mends_it) {
    auto daemon = world.start();
    const std::string output = world.read_until(daemon, "ready after");
    const std::string words = "containers have no cgroups and no limits, since";
    EXPECT_EQ(output.find(words), output.rfind(words)) << "once: " << output;
    EXPECT_NE(output.find("level=warn program=berthd msg=\"" + words), std::string::npos) << output;
    const auto told = nlohmann::json::parse(world.ask("cgroup"));
    EXPECT_EQ(told["directory"], "");
    EXPECT_EQ(told["driver"], "none");
    EXPECT_TRUE(told["problem"].get<std::string>().starts_with(words)) << told;
    stop(daemon);
}

TEST_F(Supervisor, cgroups_that_are_declined_are_not_warned_of) {
    auto daemon = world.start({"--exec-opt", "native.cgroupdriver=none"});
    const std::string output = world.read_until(daemon, "ready after");
    EXPECT_EQ(output.find("cgroup"), std::string::npos) << output;
    EXPECT_EQ(nlohmann::json::parse(world.ask("cgroup"))["driver"], "none");
    stop(daemon);
}

TEST_F(Supervisor, readiness_and_stop_are_notified) {
    const std::string path = world.runtime() + "/notify";
    const UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    auto daemon = world.start({}, {"HOME=" + world.directory(), "NOTIFY_SOCKET=" + path,
                                   "XDG_RUNTIME_DIR=" + world.runtime()});
    const auto receive = [&] {
        char text[256];
        if (!linux_os::wait_readable(socket, 10'000)) return std::string("nothing");
        return std::string(text, static_cast<std::size_t>(::read(socket.get(), text, sizeof text)));
    };
    EXPECT_EQ(receive(), "READY=1\nSTATUS=API on " + world.runtime() + "/docker.sock");
    stop(daemon);
    EXPECT_EQ(receive(), "STOPPING=1");
}

TEST_F(Supervisor, an_engine_that_cannot_start_ends_the_start_with_its_reason) {
    const auto [status, output] = world.run({"--label", "fail=start"});
    EXPECT_EQ(status, 1);
    EXPECT_NE(output.find("berthd: berth-engine: no storage\n"), std::string::npos) << output;
    EXPECT_EQ(world.recorded("holder"), -1);
}

TEST_F(Supervisor, a_socket_that_another_one_serves_is_refused) {
    auto daemon = world.start();
    world.read_until(daemon, "ready after");
    const auto [status, output] = world.run({"--exec-root", world.directory() + "/other", "--host",
                                             "unix://" + world.runtime() + "/docker.sock"});
    EXPECT_EQ(status, 1);
    EXPECT_NE(output.find("is served by another process"), std::string::npos) << output;
    stop(daemon);
}

TEST_F(Supervisor, newuidmap_without_rights_is_named_with_the_command) {
    const std::string fake = world.directory() + "/newuidmap";
    replace_file(fake, "#!/bin/sh\n", 0755, Durability::process);
    const auto [status, output] =
        world.run({}, {"PATH=" + world.directory() + ":/usr/bin", "HOME=" + world.directory(),
                       "XDG_RUNTIME_DIR=" + world.runtime()});
    EXPECT_EQ(status, 1);
    EXPECT_EQ(output, "berthd: " + fake +
                          " is neither setuid root nor has file capabilities, so it cannot write "
                          "the id maps: `sudo chown root:root " +
                          fake + " && sudo chmod u+s " + fake + "`\n");
}

TEST_F(Supervisor, a_runtime_directory_that_is_missing_is_named) {
    const std::string missing = world.directory() + "/missing";
    const auto [status, output] =
        world.run({}, {"HOME=" + world.directory(), "XDG_RUNTIME_DIR=" + missing});
    EXPECT_EQ(status, 1);
    EXPECT_NE(output.find(missing), std::string::npos);
    EXPECT_NE(output.find("`sudo install -d -m 700"), std::string::npos) << output;
}

TEST_F(Supervisor, a_socket_path_that_is_too_long_is_refused) {
    const auto [status, output] =
        world.run({"--host", "unix://" + world.runtime() + "/" + std::string(120, 'x')});
    EXPECT_EQ(status, 1);
    EXPECT_NE(output.find("at most 107 bytes"), std::string::npos) << output;
}

TEST_F(Supervisor, validate_says_ok) {
    const auto [status, output] = world.run({"--validate"});
    EXPECT_EQ(status, 0);
    EXPECT_EQ(output, "configuration OK\n");
}

}  // namespace
}  // namespace berth::test
