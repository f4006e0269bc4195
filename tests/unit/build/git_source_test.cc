#include "build/git_source.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::build {
namespace {

GitSource source_of(const std::string& text) {
    return parse_git_source(text).value_or(GitSource{});
}

TEST(GitSource, KnowsRepositoriesFromArchives) {
    for (const char* text : {"https://host/a.git", "http://host:8080/a.git#main", "git://host/a",
                             "ssh://git@host/a", "git@host:a/b.git", "github.com/a/b"})
        EXPECT_TRUE(parse_git_source(text)) << text;
    for (const char* text : {"https://host/a.tar.gz", "https://host/a.gitx", "./github.com/a",
                             "/repo.git", "file:///repo.git", "ext::sh -c true", "--upload-pack=x"})
        EXPECT_FALSE(parse_git_source(text)) << text;
}

TEST(GitSource, TakesReferenceAndDirectoryOfTheFragment) {
    const GitSource source = source_of("https://host/a.git#feature/x:/sub//dir/.");
    EXPECT_EQ(source.remote, "https://host/a.git");
    EXPECT_EQ(source.reference, "feature/x");
    EXPECT_EQ(source.directory, "sub/dir");
    EXPECT_EQ(source_of("git://host/a#:sub").reference, "");
    EXPECT_EQ(source_of("git://host/a#:sub").directory, "sub");
}

TEST(GitSource, TakesAQuery) {
    const GitSource source =
        source_of("https://host/a.git?branch=main&subdir=x&commit=0a1b&keep-git-dir&submodules=0");
    EXPECT_EQ(source.remote, "https://host/a.git");
    EXPECT_EQ(source.reference, "refs/heads/main");
    EXPECT_EQ(source.directory, "x");
    EXPECT_EQ(source.checksum, "0a1b");
    EXPECT_EQ(source.keep_git_directory, true);
    EXPECT_FALSE(source.submodules);
    EXPECT_EQ(source_of("https://host/a.git?tag=v1").reference, "refs/tags/v1");
}

TEST(GitSource, NamesItsHostAndWhetherItIsReachedBySsh) {
    EXPECT_EQ(source_of("https://me:word@host:81/a.git").host(), "host:81");
    EXPECT_EQ(source_of("git@host:a.git").host(), "");
    EXPECT_TRUE(source_of("git@host:a.git").is_ssh());
    EXPECT_TRUE(source_of("ssh://host/a").is_ssh());
    EXPECT_FALSE(source_of("git://host/a").is_ssh());
}

// CVE-2019-13139: a reference that git takes for an option.
TEST(GitSource, RefusesWhatIsNoReference) {
    for (const char* text : {"git://host/a#--upload-pack=touch", "git://host/a#a..b",
                             "git://host/a#a b", "git://host/a#:../x", "https://host/a.git?what=1",
                             "https://host/a.git?commit=zz", "https://host/a.git?submodules=maybe"})
        EXPECT_THROW(parse_git_source(text), Error) << text;
}

}  // namespace
}  // namespace berth::build
