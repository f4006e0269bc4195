#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "base/unique_fd.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"

namespace berth {
namespace {

struct Init final {
    linux_os::PidFd process;
    UniqueFd output;

    explicit Init(std::vector<std::string> arguments) {
        Pipe pipe = Pipe::make();
        linux_os::SpawnRequest request;
        request.program = linux_os::find_own_program("berth-init");
        request.arguments = std::move(arguments);
        request.arguments.insert(request.arguments.begin(), "berth-init");
        request.environment = linux_os::current_environment();
        request.fds = {{pipe.write.borrow(), STDOUT_FILENO}};
        process = linux_os::spawn(request);
        output = std::move(pipe.read);
    }
    std::string read_some() const {
        char buffer[256];
        if (!linux_os::wait_readable(output, 10'000)) return "(nothing came)";
        const ssize_t count = ::read(output.get(), buffer, sizeof buffer);
        return {buffer, static_cast<std::size_t>(count > 0 ? count : 0)};
    }
    int exit_code() const { return process.reap().code; }
};

TEST(Init, exits_as_its_child_did) {
    EXPECT_EQ(Init({"/bin/sh", "-c", "exit 7"}).exit_code(), 7);
    EXPECT_EQ(Init({"--", "/bin/sh", "-c", "exit 0"}).exit_code(), 0);
}

TEST(Init, counts_a_signal_as_128_and_its_number) {
    EXPECT_EQ(Init({"/bin/sh", "-c", "kill -9 $$"}).exit_code(), 137);
}

TEST(Init, tells_a_program_that_is_absent) {
    EXPECT_EQ(Init({"/no/such/program"}).exit_code(), 127);
    EXPECT_EQ(Init({"/etc/passwd"}).exit_code(), 126);
}

TEST(Init, forwards_signals) {
    const Init init(
        {"/bin/sh", "-c", "trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done"});
    EXPECT_EQ(init.read_some(), "ready\n");
    init.process.signal(SIGUSR1);
    EXPECT_EQ(init.exit_code(), 9);
}

TEST(Init, outlives_orphans_that_end_before_its_child) {
    const Init init({"/bin/sh", "-c", "(true &); (exit 3 &); echo made; exec sleep 0.1"});
    EXPECT_EQ(init.read_some(), "made\n");
    EXPECT_EQ(init.exit_code(), 0);
}

}  // namespace
}  // namespace berth
