#include "storage/changes.h"

#include <sys/stat.h>
#include <unistd.h>

#include "linux/overlay_mount.h"
#include "tests/spawn/storage/layer_fixture.h"

namespace berth::storage {
namespace {

/// What a container did, and how a diff shows it; the same for each way to put a root together.
class ChangesTest : public LayerFixture, public ::testing::WithParamInterface<DriverKind> {
  protected:
    void SetUp() override {
        LayerFixture::SetUp();
        if (IsSkipped()) return;
        const Layer low = apply([](TarWriter& tar) {
            tar.add({.path = "etc/", .type = EntryType::directory, .mode = 0755});
            tar.add({.path = "etc/passwd"}, "root");
            tar.add({.path = "etc/old"}, "old");
            tar.add({.path = "data/", .type = EntryType::directory, .mode = 0755});
            tar.add({.path = "data/a"}, "a");
            tar.add({.path = "data/b"}, "b");
            tar.add({.path = "same/deep/x"}, "x");
        });
        top_ = low.chain_id;
        DriverChoice driver;
        try {
            driver = probe({.data_directory = scratch_, .requested = GetParam()});
        } catch (const Error& error) {
            GTEST_SKIP() << error.message();
        }
        rootfs_ = prepare_rootfs(driver, *store_, scratch_ + "/c", top_);
        if (driver.kind == DriverKind::copy) {
            root_ = rootfs_.path;
            return;
        }
        mount_ = linux_os::mount_overlay({rootfs_.lowerdirs, rootfs_.upperdir, rootfs_.workdir});
        root_ = "/proc/self/fd/" + std::to_string(mount_.get());
    }
    std::string text_of_changes(const std::set<std::string>& mount_points = {}) const {
        std::string text;
        for (const Change& change : find_changes(rootfs_, store_->directories(*top_), mount_points))
            text += "CAD"[static_cast<int>(change.kind)] + (" /" + change.path) + "\n";
        return text;
    }
    Layer apply_changes() const {
        archive::StringSink tar;
        write_changes(rootfs_, find_changes(rootfs_, store_->directories(*top_), {}), tar);
        archive::MemorySource source(tar.text());
        return store_->apply({.parent = top_}, source);
    }
    void write(const std::string& path, std::string_view text) const {
        const UniqueFd file = open_file(root_ + "/" + path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        write_all(file, text);
    }

    std::optional<Digest> top_;
    RootfsMount rootfs_;
    UniqueFd mount_;
    std::string root_;
};

TEST_P(ChangesTest, NothingIsChangedAtFirst) { EXPECT_EQ(text_of_changes(), ""); }

TEST_P(ChangesTest, NamesWhatIsNewChangedAndGoneWithTheDirectoriesAbove) {
    write("etc/passwd", "root and more");
    write("etc/new", "new");
    ASSERT_EQ(::unlink((root_ + "/etc/old").c_str()), 0);
    ASSERT_EQ(::mkdir((root_ + "/made").c_str(), 0755), 0);
    EXPECT_EQ(text_of_changes(), "C /etc\nA /etc/new\nD /etc/old\nC /etc/passwd\nA /made\n");
}

TEST_P(ChangesTest, ADirectoryThatWasMadeAgainShowsWhatItLost) {
    remove_tree(root_ + "/data");
    ASSERT_EQ(::mkdir((root_ + "/data").c_str(), 0755), 0);
    write("data/b", "another b");
    EXPECT_EQ(text_of_changes(), "C /data\nD /data/a\nC /data/b\n");
}

TEST_P(ChangesTest, ADirectoryInTheFilesPlaceIsAChange) {
    ASSERT_EQ(::unlink((root_ + "/etc/old").c_str()), 0);
    ASSERT_EQ(::mkdir((root_ + "/etc/old").c_str(), 0755), 0);
    write("etc/old/x", "x");
    EXPECT_EQ(text_of_changes(), "C /etc\nC /etc/old\nA /etc/old/x\n");
}

TEST_P(ChangesTest, TheModeOfADirectoryCountsAndItsTimeDoesNot) {
    write("data/short-lived", "");
    ASSERT_EQ(::unlink((root_ + "/data/short-lived").c_str()), 0);
    ASSERT_EQ(::chmod((root_ + "/same").c_str(), 0700), 0);
    EXPECT_EQ(text_of_changes(), "C /same\n");
}

TEST_P(ChangesTest, EmptyMountPointsAreNoChange) {
    ASSERT_EQ(::mkdir((root_ + "/proc").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir((root_ + "/mnt").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir((root_ + "/mnt/volume").c_str(), 0755), 0);
    write("etc/hosts", "");
    EXPECT_EQ(text_of_changes({"proc", "mnt/volume", "etc/hosts"}), "");
    write("mnt/mine", "1");
    EXPECT_EQ(text_of_changes({"proc", "mnt/volume", "etc/hosts"}), "A /mnt\nA /mnt/mine\n");
}

TEST_P(ChangesTest, AppliedAsALayerTheyGiveTheSameTree) {
    write("etc/passwd", "changed");
    ASSERT_EQ(::chmod((root_ + "/etc/passwd").c_str(), 04755), 0);
    ASSERT_EQ(::link((root_ + "/etc/passwd").c_str(), (root_ + "/etc/second").c_str()), 0);
    ASSERT_EQ(::symlink("passwd", (root_ + "/etc/link").c_str()), 0);
    remove_tree(root_ + "/data");
    ASSERT_EQ(::mkdir((root_ + "/data").c_str(), 0750), 0);
    const Layer layer = apply_changes();
    const DriverChoice copy{
        .kind = DriverKind::copy, .reason = "", .backing_filesystem = "", .fuse_program = ""};
    const std::string again =
        prepare_rootfs(copy, *store_, scratch_ + "/again", layer.chain_id).path;
    EXPECT_EQ(read_file(again + "/etc/passwd"), "changed");
    EXPECT_EQ(status(again + "/etc/passwd").st_mode & 07777, 04755U);
    EXPECT_EQ(status(again + "/etc/second").st_ino, status(again + "/etc/passwd").st_ino);
    EXPECT_TRUE(S_ISLNK(status(again + "/etc/link").st_mode));
    EXPECT_EQ(read_file(again + "/etc/old"), "old");
    EXPECT_EQ(status(again + "/data").st_mode & 07777, 0750U);
    EXPECT_TRUE(absent(again + "/data/a"));
    // What save and push send later on is the archive itself.
    const auto tar = store_->open_tar(layer.chain_id);
    EXPECT_EQ(archive::drain(*tar), static_cast<std::uint64_t>(layer.tar_size));
}

INSTANTIATE_TEST_SUITE_P(Drivers, ChangesTest,
                         ::testing::Values(DriverKind::overlay, DriverKind::copy),
                         [](const auto& test) {
                             return test.param == DriverKind::copy ? "Copy" : "Overlay";
                         });

}  // namespace
}  // namespace berth::storage
