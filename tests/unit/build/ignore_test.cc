#include "build/ignore.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::build {
namespace {

TEST(IgnoreFile, LetsTheLastMatchDecide) {
    const IgnoreFile ignore("# comment\n\nnode_modules\n*.log\n!keep.log\n/build/\n**/*.tmp\n");
    EXPECT_TRUE(ignore.excludes("node_modules"));
    EXPECT_TRUE(ignore.excludes("node_modules/a/b.js"));
    EXPECT_FALSE(ignore.excludes("src/node_modules"));
    EXPECT_TRUE(ignore.excludes("x.log"));
    EXPECT_FALSE(ignore.excludes("keep.log"));
    EXPECT_FALSE(ignore.excludes("a/x.log"));
    EXPECT_TRUE(ignore.excludes("build/x"));
    EXPECT_TRUE(ignore.excludes("a/b/c.tmp"));
    EXPECT_TRUE(ignore.has_exceptions());
}

TEST(IgnoreFile, TakesBackFilesOfAnExcludedDirectory) {
    const IgnoreFile ignore("*\n!src\n!src/**\nsrc/secret");
    EXPECT_TRUE(ignore.excludes("README"));
    EXPECT_FALSE(ignore.excludes("src/a.c"));
    EXPECT_TRUE(ignore.excludes("src/secret"));
}

TEST(IgnoreFile, CleansPatterns) {
    const IgnoreFile ignore("./a/../b\n.\n  c  \n");
    EXPECT_TRUE(ignore.excludes("b"));
    EXPECT_TRUE(ignore.excludes("c"));
    EXPECT_FALSE(ignore.excludes("a"));
}

TEST(IgnoreFile, HasLimits) {
    std::string many;
    for (std::size_t i = 0; i <= kMaxIgnorePatterns; ++i) many += "x\n";
    EXPECT_THROW(IgnoreFile{many}, Error);
    EXPECT_THROW(IgnoreFile{std::string(kMaxIgnoreFile + 1, 'x')}, Error);
}

}  // namespace
}  // namespace berth::build
