// What `docker top` makes of the output of ps.
#include "engine/containers/top.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

std::string refusal_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.message();
    }
    return "";
}

TEST(Top, the_last_column_has_the_whole_command) {
    const auto table = parse_ps_output(
        "UID          PID    PPID CMD\nroot          12       1 sh -c sleep  9\n"
        "root          13       1 other\n",
        {12});
    EXPECT_EQ(table.titles, (std::vector<std::string>{"UID", "PID", "PPID", "CMD"}));
    ASSERT_EQ(table.rows.size(), 1U);
    EXPECT_EQ(table.rows[0], (std::vector<std::string>{"root", "12", "1", "sh -c sleep 9"}));
}

TEST(Top, threads_follow_their_process) {
    const auto table = parse_ps_output("PID LWP CMD\n7 - a\n- 70 -\n8 - b\n- 80 -\n", {7});
    ASSERT_EQ(table.rows.size(), 2U);
    EXPECT_EQ(table.rows[1][1], "70");
}

TEST(Top, output_without_pids_is_refused_in_dockers_words) {
    EXPECT_EQ(refusal_of([] { parse_ps_output("CMD\nsh\n", {1}); }),
              "Couldn't find PID field in ps output");
}

TEST(Top, a_renamed_pid_column_is_refused) {
    EXPECT_EQ(refusal_of([] { check_ps_arguments("-o user= PID"); }),
              "specifying \"user=PID\" is not allowed");
    EXPECT_EQ(refusal_of([] { check_ps_arguments("-o pid=PID,cmd"); }), "");
    EXPECT_EQ(refusal_of([] { check_ps_arguments("-ef"); }), "");
}

TEST(Top, proc_gives_the_columns_of_ps_ef) {
    const auto table = table_from_proc({getpid(), 0x3fffffff});
    EXPECT_EQ(table.titles,
              (std::vector<std::string>{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}));
    ASSERT_EQ(table.rows.size(), 1U);
    EXPECT_EQ(table.rows[0][1], std::to_string(getpid()));
    EXPECT_EQ(table.rows[0][2], std::to_string(getppid()));
    EXPECT_NE(table.rows[0][7].find("test_engine"), std::string::npos);
}

}  // namespace
}  // namespace berth::engine
