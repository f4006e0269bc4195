#include "runtime/resources.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

namespace berth::runtime {
namespace {

using Absent = linux_os::CgroupWrite::Absent;

std::string value_of(const oci::Resources& resources, std::string_view file) {
    const auto writes = cgroup_settings(resources);
    const auto found =
        std::ranges::find_if(writes, [&](const auto& one) { return one.file == file; });
    return found == writes.end() ? "absent" : found->text;
}

TEST(Resources, without_limits_write_nothing) { EXPECT_TRUE(cgroup_settings({}).empty()); }

TEST(Resources, swap_is_counted_alone) {
    oci::Resources resources;
    resources.memory_limit = 100;
    resources.memory_swap = 150;
    EXPECT_EQ(value_of(resources, "memory.max"), "100");
    EXPECT_EQ(value_of(resources, "memory.swap.max"), "50");
    resources.memory_swap = -1;
    EXPECT_EQ(value_of(resources, "memory.swap.max"), "max");
    resources.memory_swap = 0;
    EXPECT_EQ(value_of(resources, "memory.swap.max"), "absent");
    resources.memory_limit = -1;
    EXPECT_EQ(value_of(resources, "memory.max"), "max");
    EXPECT_EQ(value_of(resources, "memory.swap.max"), "max");
}

TEST(Resources, no_swap_at_all_needs_no_swap_file) {
    oci::Resources resources;
    resources.memory_limit = resources.memory_swap = 100;
    const auto writes = cgroup_settings(resources);
    EXPECT_EQ(writes.front().text, "0");
    EXPECT_EQ(writes.front().absent, Absent::ignored);
}

TEST(Resources, refuse_less_swap_than_memory) {
    oci::Resources resources;
    resources.memory_limit = 100;
    resources.memory_swap = 50;
    EXPECT_THROW(cgroup_settings(resources), Error);
    resources.memory_limit.reset();
    EXPECT_THROW(cgroup_settings(resources), Error);
}

TEST(Resources, reservation_is_memory_low) {
    oci::Resources resources;
    resources.memory_reservation = 7;
    EXPECT_EQ(value_of(resources, "memory.low"), "7");
}

TEST(Resources, shares_become_a_weight_that_keeps_the_default) {
    const auto weight = [](std::uint64_t shares) {
        oci::Resources resources;
        resources.cpu_shares = shares;
        return value_of(resources, "cpu.weight");
    };
    EXPECT_EQ(weight(0), "absent");
    EXPECT_EQ(weight(1), "1");
    EXPECT_EQ(weight(2), "1");
    EXPECT_EQ(weight(100), "17");
    EXPECT_EQ(weight(512), "59");
    EXPECT_EQ(weight(1024), "100");
    EXPECT_EQ(weight(2048), "174");
    EXPECT_EQ(weight(262144), "10000");
    EXPECT_EQ(weight(999999), "10000");
}

TEST(Resources, quota_and_period_are_one_file) {
    oci::Resources resources;
    resources.cpu_quota = 50000;
    EXPECT_EQ(value_of(resources, "cpu.max"), "50000 100000");
    resources.cpu_period = 20000;
    resources.cpu_quota = -1;
    EXPECT_EQ(value_of(resources, "cpu.max"), "max 20000");
    resources.cpu_quota.reset();
    EXPECT_EQ(value_of(resources, "cpu.max"), "max 20000");
}

TEST(Resources, idle_comes_before_a_weight_when_it_ends) {
    oci::Resources resources;
    resources.cpu_idle = 0;
    resources.cpu_shares = 2;
    EXPECT_EQ(cgroup_settings(resources).front().file, "cpu.idle");
    resources.cpu_idle = 1;
    EXPECT_EQ(cgroup_settings(resources).back().file, "cpu.idle");
}

TEST(Resources, no_pids_limit_is_max) {
    oci::Resources resources;
    resources.pids_limit = 20;
    EXPECT_EQ(value_of(resources, "pids.max"), "20");
    resources.pids_limit = 0;
    EXPECT_EQ(value_of(resources, "pids.max"), "max");
    resources.pids_limit = -1;
    EXPECT_EQ(value_of(resources, "pids.max"), "max");
}

TEST(Resources, block_io_weight_prefers_bfq) {
    oci::Resources resources;
    resources.blkio_weight = 500;
    EXPECT_EQ(value_of(resources, "io.bfq.weight"), "500");
    EXPECT_EQ(value_of(resources, "io.weight"), "default 4950");
    const auto writes = cgroup_settings(resources);
    EXPECT_EQ(writes.front().absent, Absent::ignored);
    EXPECT_EQ(writes.back().second_to, "io.bfq.weight");
}

TEST(Resources, rates_are_lines_of_io_max) {
    oci::Resources resources;
    resources.read_bps = {{8, 0, 1024}};
    resources.write_iops = {{8, 16, 0}};
    const auto writes = cgroup_settings(resources);
    ASSERT_EQ(writes.size(), 2U);
    EXPECT_EQ(writes[0].text, "8:0 rbps=1024");
    EXPECT_EQ(writes[1].text, "8:16 wiops=max");
}

TEST(Resources, rare_controllers_and_unified_go_last) {
    oci::Resources resources;
    resources.hugepage_limits = {{"2MB", 4096}};
    resources.rdma = {{"mlx5_1", {3, 10000}}};
    resources.unified = {{"memory.high", "5"}};
    EXPECT_EQ(value_of(resources, "hugetlb.2MB.max"), "4096");
    EXPECT_EQ(value_of(resources, "rdma.max"), "mlx5_1 hca_handle=3 hca_object=10000");
    EXPECT_EQ(cgroup_settings(resources).back().file, "memory.high");
}

TEST(Resources, systemd_paths_are_translated) {
    EXPECT_EQ(cgroup_path("user.slice:berth:abc", "id"), "/user.slice/berth-abc.scope");
    EXPECT_EQ(cgroup_path("/a/b", "id"), "/a/b");
    EXPECT_EQ(cgroup_path("", "id"), "/id");
}

}  // namespace
}  // namespace berth::runtime
