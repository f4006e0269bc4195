#include "runtime/arguments.h"

#include <gtest/gtest.h>

#include <csignal>

#include "base/error.h"

namespace berth::runtime {
namespace {

TEST(Arguments, containerd_style_create) {
    const Arguments parsed = parse_arguments({"--root", "/r", "--log=/l", "--log-format", "json",
                                              "create", "--bundle", "/b", "--pid-file=/p", "id"});
    EXPECT_EQ(parsed.verb, "create");
    EXPECT_EQ(parsed.global.value("root"), "/r");
    EXPECT_EQ(parsed.global.value("log"), "/l");
    EXPECT_EQ(parsed.options.value("bundle"), "/b");
    EXPECT_EQ(parsed.options.value("pid-file"), "/p");
    EXPECT_EQ(parsed.positional, std::vector<std::string>{"id"});
}

TEST(Arguments, flags_may_follow_the_id_but_not_in_exec) {
    EXPECT_TRUE(parse_arguments({"delete", "id", "--force"}).options.has("force"));
    const Arguments exec = parse_arguments({"exec", "-t", "id", "ls", "--force", "-l"});
    EXPECT_EQ(exec.positional, (std::vector<std::string>{"id", "ls", "--force", "-l"}));
    EXPECT_TRUE(exec.options.has("tty"));
}

TEST(Arguments, unknown_flags_and_verbs_and_missing_values_are_errors) {
    EXPECT_THROW(parse_arguments({"create", "--moon", "id"}), Error);
    EXPECT_THROW(parse_arguments({"dance"}), Error);
    EXPECT_THROW(parse_arguments({"create", "--bundle"}), Error);
    EXPECT_THROW(parse_arguments({"start", "--detach", "id"}), Error);
}

TEST(Arguments, run_has_the_flags_of_create_and_its_own) {
    const Arguments run = parse_arguments({"run", "-d", "-b", "/b", "--keep", "id"});
    EXPECT_TRUE(run.options.has("detach"));
    EXPECT_TRUE(run.options.has("keep"));
    EXPECT_EQ(run.options.value("bundle"), "/b");
}

TEST(Arguments, numbers_use_the_whole_text) {
    EXPECT_EQ(
        parse_arguments({"create", "--preserve-fds", "2", "id"}).options.number("preserve-fds"), 2);
    EXPECT_THROW(
        parse_arguments({"create", "--preserve-fds", "2x", "id"}).options.number("preserve-fds"),
        Error);
}

TEST(ContainerId, follows_runc) {
    for (const char* good : {"a", "A1_-+.x", "0123456789abcdef"})
        EXPECT_NO_THROW(check_container_id(good));
    for (const char* bad : {"", ".", "..", "a/b", ".hidden", "a b", "a\n"})
        EXPECT_THROW(check_container_id(bad), Error) << bad;
}

TEST(Signal, by_number_or_name) {
    EXPECT_EQ(parse_signal("9"), SIGKILL);
    EXPECT_EQ(parse_signal("KILL"), SIGKILL);
    EXPECT_EQ(parse_signal("sigterm"), SIGTERM);
    for (const char* bad : {"", "SIG", "99", "9x", "-1"})
        EXPECT_THROW(parse_signal(bad), Error) << bad;
}

}  // namespace
}  // namespace berth::runtime
