#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/model/mounts.h"
#include "engine/model/tmpfs_options.h"
#include "engine/volume/local_options.h"

namespace berth::engine {
namespace {

std::string refusal(const std::map<std::string, std::string>& options) {
    return failure_text([&] { local_volume_from("v", options); });
}

TEST(LocalVolume, without_options_is_a_directory) {
    EXPECT_EQ(local_volume_from("v", {}).kind, LocalKind::directory);
}

TEST(LocalVolume, a_bind_has_a_clean_device) {
    const auto volume =
        local_volume_from("v", {{"type", "none"}, {"o", "rbind,ro"}, {"device", "/a/../b/"}});
    EXPECT_EQ(volume.kind, LocalKind::bind);
    EXPECT_EQ(volume.device, "/b");
    EXPECT_TRUE(volume.read_only);
}

TEST(LocalVolume, a_tmpfs_keeps_its_words) {
    const auto volume =
        local_volume_from("v", {{"type", "tmpfs"}, {"o", "size=1m,uid=5"}, {"device", "tmpfs"}});
    EXPECT_EQ(volume.kind, LocalKind::tmpfs);
    EXPECT_EQ(volume.options, (std::vector<std::string>{"size=1m", "uid=5"}));
}

TEST(LocalVolume, what_a_plain_user_cannot_mount_is_refused_with_a_way_out) {
    const std::string text = refusal({{"type", "cifs"}, {"o", "user=x"}, {"device", "//h/s"}});
    EXPECT_NE(text.find("type=none, o=bind"), std::string::npos);
    EXPECT_EQ(refusal({{"o", "bind"}}), "create v: missing required option: \"device\"");
}

TEST(TmpfsOptions, words_are_checked) {
    EXPECT_NO_THROW(model::check_tmpfs_options(
        {"", "size=50%", "size=64m", "mode=1777", "uid=0", "nr_inodes=5k", "noexec", "rw"}));
    for (const char* word : {"size=", "size=-1", "size=64q", "mode=9", "uid=x", "color=blue", "x"})
        EXPECT_THROW(model::check_tmpfs_options({word}), Error) << word;
}

TEST(ImageMount, is_read_only_and_its_subpath_stays_inside) {
    model::MountObject mount;
    mount.type = "image";
    mount.source = "alpine";
    mount.target = "/i";
    mount.option_groups = {"ImageOptions"};
    mount.subpath = "usr/share";
    const model::MountPoint point = model::parse_mount(mount);
    EXPECT_EQ(point.type, model::MountType::image);
    EXPECT_FALSE(point.read_write);
    EXPECT_EQ(point.subpath, "usr/share");
    mount.subpath = "../x";
    EXPECT_THROW(model::parse_mount(mount), Error);
    mount.subpath = "";
    mount.source = "";
    EXPECT_THROW(model::parse_mount(mount), Error);
}

TEST(ImageMount, a_record_keeps_which_image_it_was) {
    model::MountPoint point;
    point.type = model::MountType::image;
    point.image_id = "sha256:1";
    point.top_layer = "sha256:2";
    point.device = "/d";
    const model::MountPoint read = model::mount_from_record(model::to_record(point));
    EXPECT_EQ(read.image_id, "sha256:1");
    EXPECT_EQ(read.top_layer, "sha256:2");
    EXPECT_EQ(read.device, "/d");
}

}  // namespace
}  // namespace berth::engine
