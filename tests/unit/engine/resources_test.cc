// What may be asked of limits, what is said of those that do not hold, and how an update merges.
#include "engine/model/resources.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::engine::model {
namespace {

std::string refusal(const Resources& resources, Purpose purpose = Purpose::create) {
    Abilities able;
    able.cpus = 2;
    able.usable_cpus = {0, 1};
    able.usable_mems = {0};
    try {
        check_resources(resources, able, purpose);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.message();
    }
    return "";
}

std::string update_refusal(const Resources& now, const Resources& wanted) {
    HostConfig host;
    host.resources = now;
    try {
        updated(host, {.resources = wanted, .restart_policy = {.name = ""}, .ignored = {}});
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::conflict);
        return error.message();
    }
    return "";
}

constexpr std::int64_t kMiB = 1 << 20;

TEST(resources, memory_is_checked_in_dockers_words) {
    EXPECT_EQ(refusal({.memory = 5 * kMiB}), "Minimum memory limit allowed is 6MB");
    EXPECT_EQ(refusal({.memory = -1}), "Minimum memory limit allowed is 6MB");
    EXPECT_EQ(refusal({.memory = 64 * kMiB, .memory_swap = 32 * kMiB}),
              "Minimum memoryswap limit should be larger than memory limit, see usage");
    EXPECT_EQ(refusal({.memory_swap = 32 * kMiB}),
              "You should always set the Memory limit when using Memoryswap limit, see usage");
    EXPECT_EQ(refusal({.memory_swap = 32 * kMiB}, Purpose::update), "");
    EXPECT_EQ(refusal({.memory = 64 * kMiB, .memory_swap = -1}), "");
    EXPECT_EQ(refusal({.memory_reservation = 1}), "Minimum memory reservation allowed is 6MB");
    EXPECT_EQ(refusal({.memory = 8 * kMiB, .memory_reservation = 9 * kMiB}),
              "Minimum memory limit can not be less than memory reservation limit, see usage");
    EXPECT_EQ(refusal({.memory_swappiness = 101}),
              "Invalid value: 101, valid memory swappiness range is 0-100");
}

TEST(resources, processors_are_checked_in_dockers_words) {
    EXPECT_EQ(refusal({.nano_cpus = 3'000'000'000}),
              "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available");
    EXPECT_EQ(refusal({.nano_cpus = 1'000'000'000, .cpu_quota = 5000}),
              "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    EXPECT_EQ(refusal({.cpu_period = 10}),
              "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. "
              "1000000)");
    EXPECT_EQ(refusal({.cpu_quota = 10}), "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    EXPECT_EQ(refusal({.cpu_quota = -1}), "");
    EXPECT_EQ(refusal({.cpu_shares = -1}),
              "invalid CPU shares (-1): value must be a positive integer");
}

TEST(resources, sets_must_be_available) {
    EXPECT_EQ(refusal({.cpuset_cpus = "0-1"}), "");
    EXPECT_EQ(refusal({.cpuset_cpus = "0,5"}),
              "Requested CPUs are not available - requested 0,5, available: 0-1");
    EXPECT_EQ(refusal({.cpuset_mems = "1"}),
              "Requested memory nodes are not available - requested 1, available: 0");
    EXPECT_TRUE(refusal({.cpuset_cpus = "0-x"}).starts_with("Invalid value 0-x for cpuset cpus"));
    EXPECT_NE(refusal({.cpuset_cpus = "3-1"}), "");
    EXPECT_NE(refusal({.cpuset_cpus = "0-99999999999"}), "");
}

TEST(resources, weights_have_a_range) {
    EXPECT_EQ(refusal({.blkio_weight = 5}), "Range of blkio weight is from 10 to 1000");
    EXPECT_EQ(refusal({.weight_devices = {{"/dev/sda", 1001}}}),
              "Range of blkio weight is from 10 to 1000");
    EXPECT_NE(refusal({.read_bps = {{"/dev/sda", -1}}}), "");
}

TEST(resources, what_mends_missing_limits_is_said_once) {
    Abilities able;
    able.cgroup_problem = "do this";
    able.memory_limit = true;
    const auto lines = limit_warnings(
        {.memory = 64 * kMiB, .memory_swap = 128 * kMiB, .cpu_shares = 2, .pids_limit = 5}, able);
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(lines[0],
              "Your kernel does not support swap limit capabilities. Memory limited without swap.");
    EXPECT_EQ(lines[1],
              "Your kernel does not support CPU shares or the cgroup is not delegated. Shares "
              "discarded: do this.");
    EXPECT_TRUE(lines[2].ends_with("PIDs limit discarded."));
}

TEST(resources, device_lists_survive_the_record) {
    HostConfig host;
    host.resources.write_iops = {{"/dev/sda", 10}};
    host.resources.weight_devices = {{"/dev/sda", 300}};
    const HostConfig read = host_config_from(to_json(host));
    EXPECT_EQ(read.resources.write_iops, host.resources.write_iops);
    EXPECT_EQ(read.resources.weight_devices, host.resources.weight_devices);
    EXPECT_TRUE(to_json(HostConfig{})["BlkioDeviceReadBps"].is_null());
}

TEST(update, changes_only_what_is_named) {
    HostConfig host;
    host.resources = {.memory = 64 * kMiB, .memory_swap = 128 * kMiB, .cpu_shares = 512};
    host.restart_policy = {"always", 0};
    const auto request = UpdateRequest::from_json(
        {{"Memory", 100 * kMiB}, {"CpuShares", 0}, {"PidsLimit", 30}, {"RestartPolicy", {}}});
    const HostConfig after = updated(host, request);
    EXPECT_EQ(after.resources.memory, 100 * kMiB);
    EXPECT_EQ(after.resources.memory_swap, 128 * kMiB);
    EXPECT_EQ(after.resources.cpu_shares, 512);
    EXPECT_EQ(after.resources.pids_limit, 30);
    EXPECT_EQ(after.restart_policy.name, "always");
}

TEST(update, what_it_does_not_change_is_named) {
    const auto request = UpdateRequest::from_json({{"KernelMemory", 1 << 20},
                                                   {"MEMORY", 64 * kMiB},
                                                   {"Devices", nullptr},
                                                   {"CpuCount", 0},
                                                   {"OomKillDisable", false}});
    EXPECT_EQ(request.ignored, std::vector<std::string>{"KernelMemory"});
    EXPECT_EQ(request.resources.memory, 64 * kMiB);
}

TEST(update, zero_pids_are_no_limit) {
    HostConfig host;
    host.resources.pids_limit = 5;
    EXPECT_FALSE(updated(host, UpdateRequest::from_json({{"PidsLimit", 0}})).resources.pids_limit);
    EXPECT_EQ(updated(host, UpdateRequest::from_json({{"Memory", 0}})).resources.pids_limit, 5);
}

TEST(update, a_first_memory_limit_brings_its_swap) {
    const auto request = UpdateRequest::from_json({{"Memory", 64 * kMiB}});
    EXPECT_EQ(updated({}, request).resources.memory_swap, 128 * kMiB);
}

TEST(update, conflicts_are_told_in_dockers_words) {
    // An unlimited swap, -1, counts as less than any memory there.
    for (const std::int64_t swap : {128 * kMiB, std::int64_t{-1}})
        EXPECT_EQ(
            update_refusal({.memory = 64 * kMiB, .memory_swap = swap}, {.memory = 256 * kMiB}),
            "Memory limit should be smaller than already set memoryswap limit, update the "
            "memoryswap at the same time");
    EXPECT_EQ(update_refusal({.cpu_quota = 5000}, {.nano_cpus = 1'000'000'000}),
              "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set");
    EXPECT_EQ(update_refusal({.nano_cpus = 1'000'000'000}, {.cpu_period = 5000}),
              "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set");
}

TEST(update, an_automatically_removed_container_gets_no_restart_policy) {
    HostConfig host;
    host.auto_remove = true;
    const auto request = UpdateRequest::from_json({{"RestartPolicy", {{"Name", "always"}}}});
    EXPECT_THROW(updated(host, request), Error);
}

}  // namespace
}  // namespace berth::engine::model
