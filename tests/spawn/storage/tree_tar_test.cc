#include "storage/tree_tar.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "archive/compression.h"
#include "storage/extract.h"
#include "tests/spawn/storage/layer_fixture.h"

namespace berth::storage {
namespace {

class TreeTarTest : public LayerFixture {
  protected:
    void SetUp() override {
        LayerFixture::SetUp();
        if (IsSkipped()) return;
        from_ = make("from");
        to_ = make("to");
    }
    std::string make(const std::string& name) const {
        make_directories(scratch_ + "/" + name, 0755);
        return scratch_ + "/" + name;
    }
    void write(const std::string& path, std::string_view text) const {
        write_all(open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), text);
    }
    std::string tar_of_tree() const {
        archive::StringSink sink;
        TreeTar tar(sink);
        tar.add_content(open_file(from_, O_PATH | O_DIRECTORY), "");
        tar.finish();
        return sink.text();
    }
    void extract(const std::string& tar, Replacing replacing = Replacing::anything,
                 const OwnerMap& owner = {}) const {
        const UniqueFd root = open_file(to_, O_PATH | O_DIRECTORY);
        archive::MemorySource source(tar);
        extract_tar(
            {.root = root, .directory = "/", .replacing = replacing, .owner = owner, .stop = {}},
            *archive::decompress(source));
    }
    std::string error_of_extraction(const std::string& tar,
                                    Replacing replacing = Replacing::anything) const {
        return failure_text([&] { extract(tar, replacing); });
    }

    std::string from_;
    std::string to_;
};

TEST_F(TreeTarTest, ATreeComesBackAsItWas) {
    write(from_ + "/file", "content");
    ASSERT_EQ(::chown((from_ + "/file").c_str(), 7, 8), 0);
    ASSERT_EQ(::chmod((from_ + "/file").c_str(), 04751), 0);
    ASSERT_EQ(::link((from_ + "/file").c_str(), (from_ + "/second").c_str()), 0);
    ASSERT_EQ(::symlink("../etc", (from_ + "/link").c_str()), 0);
    ASSERT_EQ(::mkfifo((from_ + "/pipe").c_str(), 0640), 0);
    ASSERT_EQ(::mkdir((from_ + "/dir").c_str(), 0), 0);
    const timespec times[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 0},
                               {.tv_sec = 1'000'000'000, .tv_nsec = 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (from_ + "/dir").c_str(), times, 0), 0);
    extract(tar_of_tree());
    EXPECT_EQ(read_file(to_ + "/file"), "content");
    EXPECT_EQ(status(to_ + "/file").st_mode & 07777, 04751U);
    EXPECT_EQ(status(to_ + "/file").st_uid, 7U);
    EXPECT_EQ(status(to_ + "/file").st_gid, 8U);
    EXPECT_EQ(status(to_ + "/second").st_ino, status(to_ + "/file").st_ino);
    EXPECT_TRUE(S_ISLNK(status(to_ + "/link").st_mode));
    EXPECT_EQ(status(to_ + "/pipe").st_mode, static_cast<mode_t>(S_IFIFO | 0640));
    EXPECT_EQ(status(to_ + "/dir").st_mode & 07777, 0U);
    EXPECT_EQ(status(to_ + "/dir").st_mtim.tv_sec, 1'000'000'000);
}

TEST_F(TreeTarTest, HolesAreNeitherReadNorWritten) {
    const UniqueFd file = open_file(from_ + "/sparse", O_WRONLY | O_CREAT, 0644);
    constexpr off_t kSize = 1LL << 30;
    ASSERT_EQ(::pwrite(file.get(), "middle", 6, kSize / 2), 6);
    ASSERT_EQ(::ftruncate(file.get(), kSize), 0);
    const std::string tar = tar_of_tree();
    EXPECT_LT(tar.size(), 64U << 10);
    extract(tar);
    EXPECT_EQ(status(to_ + "/sparse").st_size, kSize);
    EXPECT_LT(status(to_ + "/sparse").st_blocks * 512, 1 << 20);
    const UniqueFd copy = open_file(to_ + "/sparse", O_RDONLY);
    char text[7] = {};
    ASSERT_EQ(::pread(copy.get(), text, 6, kSize / 2), 6);
    EXPECT_STREQ(text, "middle");
}

TEST_F(TreeTarTest, FileCapabilitiesAreKept) {
    write(from_ + "/ping", "");
    // cap_net_raw+ep, version 2
    const std::string capability(
        "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
    ASSERT_EQ(::setxattr((from_ + "/ping").c_str(), "security.capability", capability.data(),
                         capability.size(), 0),
              0);
    extract(tar_of_tree());
    char value[64];
    EXPECT_EQ(::getxattr((to_ + "/ping").c_str(), "security.capability", value, sizeof value), 20);
}

TEST_F(TreeTarTest, DirectoriesDeeperThanAStackAreRead) {
    UniqueFd directory = open_file(from_, O_RDONLY | O_DIRECTORY);
    for (int depth = 0; depth < 1500; ++depth) {
        ASSERT_EQ(::mkdirat(directory.get(), "d", 0755), 0);
        directory.reset(::openat(directory.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    EXPECT_GT(tar_of_tree().size(), 1500U * 512);
}

TEST_F(TreeTarTest, SocketsAreLeftOut) {
    const UniqueFd server{::socket(AF_UNIX, SOCK_STREAM, 0)};
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    (from_ + "/socket").copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    extract(tar_of_tree());
    EXPECT_TRUE(absent(to_ + "/socket"));
}

TEST_F(TreeTarTest, ExtractingFollowsALinkInsideTheRootOnly) {
    make("outside");
    ASSERT_EQ(::symlink((scratch_ + "/outside").c_str(), (to_ + "/link").c_str()), 0);
    ASSERT_EQ(::symlink("/inside", (to_ + "/good").c_str()), 0);
    make("to/inside");
    EXPECT_NE(
        error_of_extraction(tar_of([](TarWriter& tar) { tar.add({.path = "link/file"}, "x"); })),
        "");
    extract(tar_of([](TarWriter& tar) { tar.add({.path = "good/file"}, "y"); }));
    EXPECT_TRUE(absent(scratch_ + "/outside/file"));
    EXPECT_EQ(read_file(to_ + "/inside/file"), "y");
}

TEST_F(TreeTarTest, AFileIsNeverWrittenThroughALink) {
    write(scratch_ + "/victim", "safe");
    ASSERT_EQ(::symlink((scratch_ + "/victim").c_str(), (to_ + "/file").c_str()), 0);
    extract(tar_of([](TarWriter& tar) { tar.add({.path = "file"}, "x"); }));
    EXPECT_EQ(read_file(scratch_ + "/victim"), "safe");
    EXPECT_EQ(read_file(to_ + "/file"), "x");
}

TEST_F(TreeTarTest, NamesThatLeadOutAreRefused) {
    for (const char* name : {"../x", "a/../../x"})
        EXPECT_NE(
            error_of_extraction(tar_of([&](TarWriter& tar) { tar.add({.path = name}, "x"); })), "")
            << name;
    EXPECT_NE(error_of_extraction(tar_of([](TarWriter& tar) {
                  tar.add({.path = "l", .type = EntryType::hard_link, .link_target = "../x"});
              })),
              "");
    EXPECT_TRUE(absent(scratch_ + "/x"));
}

TEST_F(TreeTarTest, KindsAreOnlyReplacedWhenThatIsWanted) {
    make("to/dir/below");
    write(to_ + "/file", "old");
    const std::string over_directory =
        tar_of([](TarWriter& tar) { tar.add({.path = "dir"}, "x"); });
    const std::string over_file = tar_of([](TarWriter& tar) {
        tar.add({.path = "file", .type = EntryType::directory, .mode = 0755});
    });
    EXPECT_EQ(error_of_extraction(over_directory, Replacing::same_kind),
              "cannot overwrite directory \"/dir\" with non-directory \"dir\"");
    EXPECT_EQ(error_of_extraction(over_file, Replacing::same_kind),
              "cannot overwrite non-directory \"/file\" with directory \"file\"");
    extract(over_directory);
    extract(over_file);
    EXPECT_EQ(read_file(to_ + "/dir"), "x");
    EXPECT_TRUE(S_ISDIR(status(to_ + "/file").st_mode));
}

TEST_F(TreeTarTest, OwnersThatAreNotMappedBecomeRootsAndAGivenOneIsTaken) {
    const auto fill = [](TarWriter& tar) {
        tar.add({.path = "file", .uid = 4'000'000'000, .gid = 5}, "x");
    };
    extract(tar_of(fill));
    EXPECT_EQ(status(to_ + "/file").st_uid, 0U);
    EXPECT_EQ(status(to_ + "/file").st_gid, 5U);
    extract(tar_of(fill), Replacing::anything, [](Owner) { return Owner{11, 12}; });
    EXPECT_EQ(status(to_ + "/file").st_uid, 11U);
    EXPECT_EQ(status(to_ + "/file").st_gid, 12U);
}

TEST_F(TreeTarTest, WhatIsCopiedTakesAnotherName) {
    const std::string tar = tar_of([](TarWriter& writer) {
        writer.add({.path = "dir/", .type = archive::EntryType::directory});
        writer.add({.path = "dir/file"}, "x");
        writer.add({.path = "dir/second",
                    .type = archive::EntryType::hard_link,
                    .link_target = "dir/file"});
        writer.add({.path = "directory"}, "y");
    });
    const UniqueFd root = open_file(to_, O_PATH | O_DIRECTORY);
    archive::MemorySource source(tar);
    extract_tar({.root = root, .directory = "/", .rename = Rename{"dir", "new"}}, source);
    EXPECT_EQ(status(to_ + "/new/second").st_ino, status(to_ + "/new/file").st_ino);
    EXPECT_EQ(read_file(to_ + "/directory"), "y");
    archive::MemorySource again(tar);
    extract_tar({.root = root, .directory = "/", .rename = Rename{"", "all"}}, again);
    EXPECT_EQ(read_file(to_ + "/all/dir/file"), "x");
}

}  // namespace
}  // namespace berth::storage
