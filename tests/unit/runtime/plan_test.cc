#include "runtime/plan.h"

#include <gtest/gtest.h>
#include <linux/mount.h>
#include <linux/sched.h>

#include <algorithm>

#include "base/error.h"
#include "oci/defaults.h"

namespace berth::runtime {
namespace {

oci::Mount mount_with(std::vector<std::string> options) {
    return {"/data", "none", "/src", std::move(options), {}, {}};
}

TEST(Plan, bind_words_choose_kind_and_depth) {
    EXPECT_EQ(plan_mount(mount_with({"rbind"})).depth, linux_os::Depth::recursive);
    EXPECT_EQ(plan_mount(mount_with({"bind"})).depth, linux_os::Depth::single);
    EXPECT_EQ(plan_mount(mount_with({"bind"})).kind, MountKind::bind);
}

TEST(Plan, the_last_of_two_opposite_words_counts) {
    EXPECT_EQ(plan_mount(mount_with({"bind", "ro", "rw"})).own.set & MOUNT_ATTR_RDONLY, 0U);
    EXPECT_NE(plan_mount(mount_with({"bind", "rw", "ro"})).own.set & MOUNT_ATTR_RDONLY, 0U);
}

TEST(Plan, recursive_attributes_are_kept_apart) {
    const MountStep step = plan_mount(mount_with({"rbind", "rro", "rprivate"}));
    EXPECT_EQ(step.own.set, 0U);
    EXPECT_EQ(step.recursive.set, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
    EXPECT_EQ(step.own.propagation, 1U << 18);
    EXPECT_EQ(step.propagation_depth, linux_os::Depth::recursive);
}

TEST(Plan, relatime_is_no_recursive_word) {
    EXPECT_EQ(plan_mount(mount_with({"bind", "relatime"})).recursive.clear, 0U);
}

TEST(Plan, file_system_options_are_passed_on) {
    oci::Mount mount{"/dev/shm", "tmpfs", "shm", {"nosuid", "mode=1777", "size=64k"}, {}, {}};
    const MountStep step = plan_mount(mount);
    ASSERT_EQ(step.options.size(), 2U);
    EXPECT_EQ(step.options[1].first, "size");
    EXPECT_EQ(step.options[1].second, "64k");
}

TEST(Plan, nothing_is_mounted_inside_proc) {
    oci::Mount mount{"/proc/./sys", "tmpfs", "tmpfs", {}, {}, {}};
    EXPECT_THROW(plan_mount(mount), Error);
    mount.destination = "/x/../proc";
    EXPECT_THROW(plan_mount(mount), Error);
    mount.destination = "/proc/meminfo";
    EXPECT_NO_THROW(plan_mount(mount));
    mount.destination = "/processes";
    EXPECT_NO_THROW(plan_mount(mount));
}

TEST(Plan, the_root_and_id_maps_are_refused) {
    oci::Mount mount{"/a/..", "tmpfs", "tmpfs", {}, {}, {}};
    EXPECT_THROW(plan_mount(mount), Error);
    EXPECT_THROW(plan_mount(mount_with({"bind", "idmap"})), Error);
}

TEST(Plan, namespaces_are_split_into_new_and_joined) {
    oci::Spec spec;
    spec.linux_part.namespaces = {
        {"mount", ""}, {"network", "/run/net"}, {"user", "/run/user"}, {"pid", ""}};
    const Plan plan = make_plan(spec);
    EXPECT_EQ(plan.new_namespaces, static_cast<std::uint64_t>(CLONE_NEWNS | CLONE_NEWPID));
    ASSERT_EQ(plan.joins.size(), 2U);
    EXPECT_EQ(plan.joins[0].type, "user");
    EXPECT_TRUE(plan.joins_type("network"));
}

TEST(Plan, devices_of_the_specification_replace_the_defaults) {
    oci::Spec spec;
    spec.linux_part.devices = {{"/dev/null", "c", 1, 3, 0600, 1, 1},
                               {"/dev/fuse", "c", 10, 229, {}, {}, {}}};
    const Plan plan = make_plan(spec);
    EXPECT_EQ(plan.devices.size(), oci::default_devices().size() + 1);
    EXPECT_TRUE(plan.makes_devices);
    spec.mounts = {{"/dev", "bind", "/dev", {"rbind"}, {}, {}}};
    EXPECT_FALSE(make_plan(spec).makes_devices);
}

}  // namespace
}  // namespace berth::runtime
