// OOM kills, told by a file that stands for memory.events of a container's cgroup.
#include "shim/oom_watch.h"

#include <fcntl.h>

#include <csignal>

#include "base/file.h"
#include "shim_run.h"

namespace berth::shim {
namespace {

class OomTest : public ShimRun {
  protected:
    /// In place, as the kernel's file changes.
    void set_kills(int count) const {
        const UniqueFd file =
            open_file(config.cgroup_dir + "/memory.events", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        write_all(file, fmt::format("low 0\nhigh 0\nmax 9\noom 3\noom_kill {}\noom_group_kill 0\n",
                                    count));
    }

    void run_with_kills(int before) {
        config.cgroup_dir = directory + "/cgroup";
        make_directories(config.cgroup_dir);
        set_kills(before);
        begin({"/bin/sleep", "1000"});
        create_and_start();
    }
};

TEST_F(OomTest, a_kill_is_told_at_once_and_with_the_exit) {
    run_with_kills(0);
    set_kills(1);
    EXPECT_TRUE(std::holds_alternative<OomEvent>(next_event()));
    EXPECT_TRUE(ask(StateRequest{}).reply.state->oom);
    ask(SignalRequest{SIGKILL, false});
    const ExitEvent exit = wait_exit();
    EXPECT_TRUE(exit.oom);
    EXPECT_EQ(exit.exit_code, 137);
    EXPECT_TRUE(parse_exit_record(read_file(directory + "/exit.json")).oom);
}

TEST_F(OomTest, kills_of_before_are_not_of_this_container) {
    run_with_kills(5);
    ask(SignalRequest{SIGKILL, false});
    EXPECT_FALSE(wait_exit().oom);
}

TEST_F(OomTest, a_cgroup_without_the_memory_controller_is_no_error) {
    config.cgroup_dir = directory;
    begin({"/bin/true"});
    create_and_start();
    EXPECT_FALSE(wait_exit().oom);
}

TEST(OomKills, are_counted_by_their_own_line) {
    EXPECT_EQ(oom_kills("oom_group_kill 7\noom_kill 2\n"), 2U);
    EXPECT_EQ(oom_kills("not_oom_kill 7\n"), 0U);
    EXPECT_EQ(oom_kills(""), 0U);
}

}  // namespace
}  // namespace berth::shim
