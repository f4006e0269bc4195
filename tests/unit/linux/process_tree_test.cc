#include "linux/process_tree.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/unique_fd.h"

namespace berth::linux_os {
namespace {

TEST(ProcessTree, a_name_with_parentheses_does_not_shift_the_fields) {
    const auto figures = parse_process_stat(
        "77 (a) S (b) R 5 77 77 34816 77 4194304 1 2 3 4 10 20 30 40 20 0 6 0 123 4096 9 "
        "18446744073709551615 1\n");
    ASSERT_TRUE(figures);
    EXPECT_EQ(figures->name, "a) S (b");
    EXPECT_EQ(figures->state, 'R');
    EXPECT_EQ(figures->parent, 5);
    EXPECT_EQ(figures->terminal, 34816);
    EXPECT_EQ(figures->user_ticks, 40U);
    EXPECT_EQ(figures->system_ticks, 60U);
    EXPECT_EQ(figures->threads, 6U);
    EXPECT_EQ(figures->start_ticks, 123U);
}

TEST(ProcessTree, text_that_is_no_stat_is_nothing) {
    for (const char* text : {"", "1 (", "1 )(", "1 (x)", "1 (x) R 2"})
        EXPECT_FALSE(parse_process_stat(text)) << text;
}

/// A child and its own child, both asleep.
pid_t start_family(const Pipe& ready) {
    const pid_t child = fork();
    if (child != 0) return child;
    if (fork() == 0 && ::write(ready.write.get(), "x", 1) != 1) _exit(1);
    for (;;) pause();
}

TEST(ProcessTree, grandchildren_are_found_and_killed_with_the_child) {
    const Pipe ready = Pipe::make();
    const pid_t child = start_family(ready);
    char byte = 0;
    ASSERT_EQ(::read(ready.read.get(), &byte, 1), 1);
    const auto family = process_tree(child);
    ASSERT_EQ(family.size(), 2U);
    EXPECT_EQ(family.front(), child);
    const auto all = container_tree(getpid());
    EXPECT_NE(std::ranges::find(all, family.back()), all.end());

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    kill_tree(child);
    for (const pid_t member : family) {
        int status = 0;
        EXPECT_EQ(waitpid(member, &status, 0), member);
        EXPECT_EQ(WTERMSIG(status), SIGKILL);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

}  // namespace
}  // namespace berth::linux_os
