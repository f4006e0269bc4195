#include "cli/copy_rules.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::cli {
namespace {

TEST(CopyRules, AnArgumentNamesAContainerBeforeTheFirstColon) {
    const auto split = [](const char* text) {
        const CopyArgument argument = split_copy_argument(text);
        return argument.container + "|" + argument.path;
    };
    EXPECT_EQ(split("box:/etc/a:b"), "box|/etc/a:b");
    EXPECT_EQ(split("box:"), "box|");
    EXPECT_EQ(split("/etc/a:b"), "|/etc/a:b");
    EXPECT_EQ(split("./a:b"), "|./a:b");
    EXPECT_EQ(split("../a:b"), "|../a:b");
    EXPECT_EQ(split("a"), "|a");
    EXPECT_EQ(split("-"), "|-");
}

std::string planned(Thing source, const CopyTarget& target) {
    std::string text;
    const std::string failure = failure_text([&] {
        const CopyPlan plan = plan_copy(source, target);
        text = plan.directory + "|" + plan.name;
    });
    return text + failure;
}

TEST(CopyRules, WhatIsCopiedIntoADirectoryKeepsItsName) {
    EXPECT_EQ(planned(Thing::file, {"/tmp", Thing::directory}), "/tmp|");
    EXPECT_EQ(planned(Thing::directory, {"/tmp/.", Thing::directory}), "/tmp/.|");
}

TEST(CopyRules, WhatIsAbsentIsTheNewName) {
    EXPECT_EQ(planned(Thing::file, {"/a/new", Thing::absent}), "/a|new");
    EXPECT_EQ(planned(Thing::directory, {"/a/new", Thing::absent}), "/a|new");
    EXPECT_EQ(planned(Thing::directory, {"/a/new/", Thing::absent}), "/a|new");
    EXPECT_EQ(planned(Thing::directory, {"/a/new/.", Thing::absent}), "/a/new|.");
    EXPECT_EQ(planned(Thing::file, {"/a/old", Thing::file}), "/a|old");
    EXPECT_EQ(planned(Thing::file, {"new", Thing::absent}), "/|new");
}

TEST(CopyRules, WhatCannotBeIsSaidInTheWordsOfDocker) {
    EXPECT_EQ(planned(Thing::directory, {"/a/old", Thing::file}), "cannot copy directory");
    EXPECT_EQ(planned(Thing::file, {"/a/new/", Thing::absent}), "no such directory");
    EXPECT_EQ(planned(Thing::file, {"/a/new/.", Thing::absent}), "no such directory");
}

TEST(CopyRules, ALinkIsFollowedFromItsDirectoryAndKeepsTheEndOfThePath) {
    EXPECT_EQ(link_destination("/a/link", "real"), "/a/real");
    EXPECT_EQ(link_destination("/a/link", "../real"), "/real");
    EXPECT_EQ(link_destination("/a/link/", "/real"), "/real/");
    EXPECT_EQ(link_destination("/a/link/.", "/real"), "/real/.");
}

}  // namespace
}  // namespace berth::cli
