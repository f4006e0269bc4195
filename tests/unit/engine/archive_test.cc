#include "engine/containers/archive.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/go_file_mode.h"
#include "linux/rooted_path.h"

namespace berth::engine {
namespace {

using linux_os::base_of;
using linux_os::clean_keeping_end;

TEST(Archive, APathKeepsTheEndThatFollowsALink) {
    EXPECT_EQ(clean_keeping_end("a/b"), "/a/b");
    EXPECT_EQ(clean_keeping_end("/a//b/"), "/a/b/");
    EXPECT_EQ(clean_keeping_end("/a/x/../b/."), "/a/b/.");
    EXPECT_EQ(clean_keeping_end("../../a"), "/a");
    EXPECT_EQ(clean_keeping_end("/"), "/");
    EXPECT_EQ(clean_keeping_end("."), "/");
}

TEST(Archive, TheBaseIsGosOne) {
    EXPECT_EQ(base_of("/a/b"), "b");
    EXPECT_EQ(base_of("/a/b/"), "b");
    EXPECT_EQ(base_of("/a/."), ".");
    EXPECT_EQ(base_of("/"), "/");
    EXPECT_EQ(base_of("a"), "a");
}

TEST(Archive, ModesAreGosFileMode) {
    EXPECT_EQ(go_file_mode(S_IFREG | 0644), 0644U);
    EXPECT_EQ(go_file_mode(S_IFDIR | 01777), 1U << 31 | 1U << 20 | 0777U);
    EXPECT_EQ(go_file_mode(S_IFLNK | 0777), 1U << 27 | 0777U);
    EXPECT_EQ(go_file_mode(S_IFREG | 06755), 1U << 23 | 1U << 22 | 0755U);
    EXPECT_EQ(go_file_mode(S_IFCHR | 0666), 1U << 26 | 1U << 21 | 0666U);
    EXPECT_EQ(go_file_mode(S_IFIFO | 0600), 1U << 25 | 0600U);
}

}  // namespace
}  // namespace berth::engine
