#include "storage/driver.h"

#include <sys/mount.h>
#include <sys/xattr.h>

#include <iostream>

#include "linux/overlay_mount.h"
#include "storage/copy_tree.h"
#include "tests/spawn/storage/layer_fixture.h"

namespace berth::storage {
namespace {

class DriverTest : public LayerFixture {
  protected:
    Layer two_layers() const {
        const Layer low = apply([](TarWriter& tar) {
            tar.add({.path = ".", .type = EntryType::directory, .mode = 0711});
            tar.add({.path = "gone"}, "1");
            tar.add({.path = "kept"}, "2");
            tar.add({.path = "full/old"}, "3");
            tar.add({.path = "dir/x"}, "4");
        });
        return apply(
            [](TarWriter& tar) {
                tar.add({.path = ".wh.gone"});
                tar.add({.path = "full", .type = EntryType::directory, .mode = 0755});
                tar.add({.path = "full/.wh..wh..opq"});
                tar.add({.path = "full/new", .mode = 04755, .uid = 8}, "5");
                tar.add({.path = "link", .type = EntryType::hard_link, .link_target = "full/new"});
                tar.add({.path = ".wh.dir"});
            },
            low.chain_id);
    }
    static void expect_merged(const std::string& root) {
        EXPECT_TRUE(absent(root + "/gone"));
        EXPECT_TRUE(absent(root + "/full/old"));
        EXPECT_TRUE(absent(root + "/dir"));
        EXPECT_EQ(read_file(root + "/kept"), "2");
        EXPECT_EQ(read_file(root + "/full/new"), "5");
        EXPECT_EQ(status(root + "/full/new").st_mode & 07777, 04755U);
        EXPECT_EQ(status(root + "/full/new").st_uid, 8U);
        EXPECT_EQ(status(root + "/link").st_nlink, 2U);
        EXPECT_EQ(status(root).st_mode & 07777, 0711U);
    }
    linux_os::OverlayLayout layout_of(const RootfsMount& rootfs) const {
        return {rootfs.lowerdirs, rootfs.upperdir, rootfs.workdir};
    }
    std::optional<DriverChoice> choose(DriverKind kind) const {
        try {
            return probe({.data_directory = scratch_, .requested = kind});
        } catch (const Error& error) {
            std::cerr << error.message() << "\n";
            return std::nullopt;
        }
    }
    static std::string through(BorrowedFd mount) {
        return "/proc/self/fd/" + std::to_string(mount.get()) + "/.";
    }
};

TEST_F(DriverTest, ProbeTakesNativeOverlayAndLeavesNothing) {
    const DriverChoice choice = probe({.data_directory = scratch_});
    if (choice.kind != DriverKind::overlay) GTEST_SKIP() << choice.reason;
    EXPECT_EQ(choice.reason, "native overlay works on " + choice.backing_filesystem);
    for (const auto& entry : std::filesystem::directory_iterator(scratch_))
        EXPECT_EQ(entry.path().filename(), "layers");
}

TEST_F(DriverTest, ProbeSaysWhyARequestedDriverDoesNotWork) {
    ::setenv("PATH", "/nonexistent", 1);
    try {
        probe({.data_directory = scratch_, .requested = DriverKind::fuse_overlayfs});
        ADD_FAILURE() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_NE(error.message().find("fuse-overlayfs is not installed"), std::string::npos);
    }
    ::setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
}

TEST_F(DriverTest, OverlayShowsTheMergedLayers) {
    const auto choice = choose(DriverKind::overlay);
    if (!choice) GTEST_SKIP() << "no overlay here";
    const Layer top = two_layers();
    const RootfsMount rootfs = prepare_rootfs(*choice, *store_, scratch_ + "/c", top.chain_id);
    const UniqueFd mount = linux_os::mount_overlay(layout_of(rootfs));
    expect_merged(through(mount));
    replace_file(through(mount) + "/kept", "changed", 0644, Durability::process);
    EXPECT_EQ(writable_size(choice->kind, scratch_ + "/c"), 7);
    EXPECT_EQ(writable_size(choice->kind, scratch_ + "/never-started"), 0);
}

TEST_F(DriverTest, TheClassicCallMountsTheSame) {
    const auto choice = choose(DriverKind::overlay);
    if (!choice) GTEST_SKIP() << "no overlay here";
    const Layer top = two_layers();
    const RootfsMount rootfs = prepare_rootfs(*choice, *store_, scratch_ + "/c", top.chain_id);
    const UniqueFd mount = linux_os::mount_overlay_classic(layout_of(rootfs));
    expect_merged(through(mount));
}

TEST_F(DriverTest, AMountWithoutAnUpperLayerIsReadOnly) {
    const auto choice = choose(DriverKind::overlay);
    if (!choice) GTEST_SKIP() << "no overlay here";
    const Layer top = two_layers();
    const UniqueFd mount =
        linux_os::mount_overlay({.lowerdirs = store_->directories(top.chain_id)});
    expect_merged(through(mount));
    EXPECT_LT(::mkdir((through(mount) + "/x").c_str(), 0755), 0);
    EXPECT_EQ(errno, EROFS);
}

TEST_F(DriverTest, AnAttachedMountShowsItsFiles) {
    const auto choice = choose(DriverKind::overlay);
    if (!choice) GTEST_SKIP() << "no overlay here";
    const Layer top = two_layers();
    const RootfsMount rootfs = prepare_rootfs(*choice, *store_, scratch_ + "/c", top.chain_id);
    make_directories(scratch_ + "/merged", 0755);
    linux_os::attach_mount(linux_os::mount_overlay(layout_of(rootfs)), scratch_ + "/merged");
    expect_merged(scratch_ + "/merged");
    EXPECT_EQ(::umount2((scratch_ + "/merged").c_str(), MNT_DETACH), 0);
}

TEST_F(DriverTest, FuseOverlayfsIsFoundWhereInstalled) {
    const auto choice = choose(DriverKind::fuse_overlayfs);
    if (!choice) GTEST_SKIP() << "no fuse-overlayfs here";
    EXPECT_TRUE(choice->fuse_program.ends_with("/fuse-overlayfs"));
}

TEST_F(DriverTest, CopyMakesTheMergedTree) {
    const auto choice = choose(DriverKind::copy);
    const Layer top = two_layers();
    const RootfsMount rootfs =
        prepare_rootfs(choice.value(), *store_, scratch_ + "/c", top.chain_id);
    expect_merged(rootfs.path);
}

TEST_F(DriverTest, PreparingAgainKeepsWhatWasWritten) {
    const Layer top = two_layers();
    for (const DriverKind kind : {DriverKind::overlay, DriverKind::copy}) {
        const DriverChoice choice{.kind = kind};
        const std::string directory = scratch_ + "/" + std::string(to_string(kind));
        const RootfsMount first = prepare_rootfs(choice, *store_, directory, top.chain_id);
        const std::string written =
            (kind == DriverKind::copy ? first.path : first.upperdir) + "/mine";
        replace_file(written, "1", 0644, Durability::process);
        prepare_rootfs(choice, *store_, directory, top.chain_id);
        EXPECT_EQ(read_file(written), "1");
        remove_rootfs(directory);
        EXPECT_TRUE(std::filesystem::is_empty(directory));
    }
}

TEST_F(DriverTest, AnImageWithoutLayersIsEmpty) {
    const auto choice = choose(DriverKind::overlay);
    if (!choice) GTEST_SKIP() << "no overlay here";
    const RootfsMount rootfs = prepare_rootfs(*choice, *store_, scratch_ + "/c", std::nullopt);
    const UniqueFd mount = linux_os::mount_overlay(layout_of(rootfs));
    EXPECT_TRUE(std::filesystem::is_empty(through(mount)));
}

TEST_F(DriverTest, CopyTreeKeepsEverything) {
    const Layer layer = apply([](TarWriter& tar) {
        tar.add({.path = ".", .type = EntryType::directory, .mode = 0750, .uid = 3});
        tar.add({.path = "d",
                 .type = EntryType::directory,
                 .mode = 01777,
                 .modified = {1'000'000'000'000'000'000}});
        tar.add({.path = "d/f", .mode = 02755, .gid = 9, .xattrs = {{"user.k", "v"}}}, "content");
        tar.add({.path = "g", .type = EntryType::hard_link, .link_target = "d/f"});
        tar.add({.path = "l", .type = EntryType::symlink, .link_target = "/etc/passwd", .uid = 4});
        tar.add({.path = "p", .type = EntryType::fifo, .mode = 0600});
    });
    make_directories(scratch_ + "/copy", 0755);
    const std::string copy = scratch_ + "/copy";
    copy_tree(open_file(file(layer, ""), O_RDONLY | O_DIRECTORY),
              open_file(copy, O_RDONLY | O_DIRECTORY));
    EXPECT_EQ(status(copy).st_mode & 07777, 0750U);
    EXPECT_EQ(status(copy).st_uid, 3U);
    EXPECT_EQ(status(copy + "/d").st_mtim.tv_sec, 1'000'000'000);
    EXPECT_EQ(status(copy + "/d").st_mode & 07777, 01777U);
    EXPECT_EQ(read_file(copy + "/d/f"), "content");
    EXPECT_EQ(status(copy + "/d/f").st_mode & 07777, 02755U);
    EXPECT_EQ(status(copy + "/d/f").st_ino, status(copy + "/g").st_ino);
    EXPECT_EQ(status(copy + "/l").st_uid, 4U);
    EXPECT_TRUE(S_ISFIFO(status(copy + "/p").st_mode));
    char value = 0;
    EXPECT_EQ(::getxattr((copy + "/d/f").c_str(), "user.k", &value, 1), 1);
    EXPECT_EQ(tree_size(open_file(copy, O_RDONLY | O_DIRECTORY)), 7);
}

}  // namespace
}  // namespace berth::storage
