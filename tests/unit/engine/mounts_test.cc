#include "engine/model/mounts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

namespace berth::engine::model {
namespace {

TEST(parse_bind, absolute_source_is_a_bind_mount) {
    const MountPoint mount = parse_bind("/src/../data:/dst/:ro,rslave");
    EXPECT_EQ(mount.type, MountType::bind);
    EXPECT_EQ(mount.source, "/data");
    EXPECT_EQ(mount.destination, "/dst");
    EXPECT_FALSE(mount.read_write);
    EXPECT_EQ(mount.propagation, "rslave");
    EXPECT_TRUE(mount.create_source);
}

TEST(parse_bind, relative_source_is_a_named_volume) {
    const MountPoint mount = parse_bind("cache:/var/cache:nocopy");
    EXPECT_EQ(mount.type, MountType::volume);
    EXPECT_EQ(mount.name, "cache");
    EXPECT_TRUE(mount.no_copy);
}

TEST(parse_bind, a_lone_path_is_an_anonymous_volume) {
    const MountPoint mount = parse_bind("/data");
    EXPECT_EQ(mount.type, MountType::volume);
    EXPECT_TRUE(mount.anonymous);
}

TEST(parse_bind, refuses_bad_specifications) {
    for (const char* text : {"", ":", "/a:", "a:b", "/a:/", "/a:/b:ro,rw", "/a:/b:zz", "/a:/b:c:d",
                             "./x:/y", "/a:/b:nocopy"})
        EXPECT_THROW(parse_bind(text), Error) << text;
}

TEST(parse_mount, option_groups_must_fit_the_type) {
    MountObject mount;
    mount.type = "bind";
    mount.source = "/a";
    mount.target = "/b";
    mount.option_groups = {"VolumeOptions"};
    EXPECT_THROW(parse_mount(mount), Error);
}

TEST(parse_mount, tmpfs_is_not_executable_unless_asked) {
    MountObject mount;
    mount.type = "tmpfs";
    mount.target = "/t";
    mount.tmpfs_size = 1024;
    mount.tmpfs_mode = 0700;
    const auto options = parse_mount(mount).tmpfs_options;
    EXPECT_NE(std::ranges::find(options, "noexec"), options.end());
    EXPECT_NE(std::ranges::find(options, "size=1024"), options.end());
    EXPECT_NE(std::ranges::find(options, "mode=700"), options.end());
}

TEST(parse_mount, subpath_must_stay_inside_the_volume) {
    MountObject mount;
    mount.type = "volume";
    mount.source = "vol";
    mount.target = "/t";
    mount.subpath = "../x";
    EXPECT_THROW(parse_mount(mount), Error);
    mount.subpath = "a/..";
    EXPECT_THROW(parse_mount(mount), Error);
    mount.subpath = "a..b/..c";
    EXPECT_EQ(parse_mount(mount).subpath, mount.subpath);
}

TEST(collect_mounts, sorts_by_depth_and_drops_covered_image_volumes) {
    ContainerConfig config;
    config.volumes = {"/data", "/other"};
    HostConfig host;
    host.binds = {"/a:/data/deep/er", "/b:/data"};
    const auto mounts = collect_mounts(config, host);
    ASSERT_EQ(mounts.size(), 3U);
    EXPECT_EQ(mounts[0].destination, "/data");
    EXPECT_EQ(mounts[1].destination, "/other");
    EXPECT_EQ(mounts[2].destination, "/data/deep/er");
}

TEST(collect_mounts, refuses_the_same_target_twice) {
    HostConfig host;
    host.binds = {"/a:/x", "/b:/x/"};
    try {
        collect_mounts({}, host);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "Duplicate mount point: /x");
    }
}

}  // namespace
}  // namespace berth::engine::model
