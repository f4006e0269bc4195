#include "shim/leftovers.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/file.h"
#include "linux/message_socket.h"
#include "shim_run.h"

namespace berth::shim {
namespace {

/// A process in a mount namespace of its own, with a child that holds the write end of `alive`.
struct Family final {
    pid_t parent = -1;
    Pipe alive = Pipe::make();

    Family() {
        Pipe ready = Pipe::make();
        parent = ::fork();
        if (parent == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::unshare(CLONE_NEWNS) < 0) ::_exit(1);
            if (::fork() != 0) alive.write.reset();
            (void)!::write(ready.write.get(), "r", 1);
            ready.write.reset();
            for (;;) ::pause();
        }
        alive.write.reset();
        ready.write.reset();
        char byte = 0;
        for (int process = 0; process < 2; ++process)
            EXPECT_EQ(::read(ready.read.get(), &byte, 1), 1);
    }
    void end_parent() const {
        ::kill(parent, SIGKILL);
        ::waitpid(parent, nullptr, 0);
    }
    bool child_is_gone() const { return linux_os::wait_readable(alive.read, kPatienceMs); }
};

class LeftoversTest : public testing::Test {
  protected:
    void SetUp() override {
        const Entered entered = enter_namespaces_once();
        if (!entered.ok) GTEST_SKIP() << entered.reason;
    }
};

TEST_F(LeftoversTest, ends_what_shared_the_mount_namespace_of_process_1) {
    const Family family;
    const Leftovers leftovers = Leftovers::of(family.parent);
    family.end_parent();
    EXPECT_TRUE(leftovers.kill());
    EXPECT_TRUE(family.child_is_gone());
    while (leftovers.kill()) continue;
}

TEST_F(LeftoversTest, leaves_our_own_mount_namespace_alone) {
    const pid_t neighbour = ::fork();
    if (neighbour == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) ::pause();
    }
    EXPECT_FALSE(Leftovers::of(neighbour).kill());
    ::kill(neighbour, SIGKILL);
    ::waitpid(neighbour, nullptr, 0);
}

}  // namespace
}  // namespace berth::shim
