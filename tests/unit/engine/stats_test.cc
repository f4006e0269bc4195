// Figures of containers: the kernel's files read, and the object that clients get.
#include "engine/containers/stats_sample.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/containers/stats_json.h"

namespace berth::engine {
namespace {

constexpr const char* kNetDev =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
    "fifo colls carrier compressed\n"
    "    lo:     100       1    0    0    0     0          0         0      100       1    0    0  "
    " "
    " 0     0       0          0\n"
    "  eth0:5338      36    1    2    0     0          0         0     1200      12    3    4    0 "
    " "
    "   0       0          0\n";

TEST(Stats, counters_are_read_by_key) {
    const Counters counters = parse_counters("anon 4096\ninactive_file 8192\nbroken\n");
    EXPECT_EQ(counters, (Counters{{"anon", 4096}, {"inactive_file", 8192}}));
}

TEST(Stats, an_idle_device_of_io_stat_is_left_out) {
    const auto devices = parse_io_stat("8:16\n254:1 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=9\n");
    ASSERT_EQ(devices.size(), 1U);
    EXPECT_EQ(devices[0].major, 254U);
    EXPECT_EQ(devices[0].minor, 1U);
    EXPECT_EQ(devices[0].read_bytes, 10U);
    EXPECT_EQ(devices[0].written_bytes, 20U);
    EXPECT_EQ(devices[0].reads, 3U);
    EXPECT_EQ(devices[0].writes, 4U);
}

TEST(Stats, interfaces_have_both_directions_and_no_loopback) {
    const auto interfaces = parse_net_dev(kNetDev);
    ASSERT_EQ(interfaces.size(), 1U);
    const InterfaceUse& use = interfaces.at("eth0");
    EXPECT_EQ(use.rx_bytes, 5338U);
    EXPECT_EQ(use.rx_dropped, 2U);
    EXPECT_EQ(use.tx_bytes, 1200U);
    EXPECT_EQ(use.tx_errors, 3U);
}

TEST(Stats, the_machines_time_is_the_sum_of_seven_fields) {
    const HostCpu host = parse_host_cpu(
        "cpu  1 2 3 4 5 6 7 100 200 300\ncpu0 1 1 1 1 1 1 1 1 1 1\ncpu1 0 1 2 3 4 5 6 7 8 9\n"
        "intr 5\ncpufreq 9\n",
        10);
    EXPECT_EQ(host.used_ns, 280U);
    EXPECT_EQ(host.cpus, 2);
}

TEST(Stats, an_object_has_what_clients_compute_with) {
    StatsSample sample;
    sample.at.ns = 5;
    sample.cpu.total_ns = 300;
    sample.cpu.host = {4000, 2};
    sample.memory_usage = 100;
    sample.memory_limit = 1000;
    sample.memory = {{"inactive_file", 40}};
    sample.block = {{8, 0, 11, 12, 1, 2}};
    sample.pids = 3;
    sample.pids_limit = std::numeric_limits<std::uint64_t>::max();
    sample.interfaces["eth0"].rx_bytes = 7;
    StatsSample before;
    before.cpu.total_ns = 200;
    const auto value = stats_json("abc", "web", sample, before);
    EXPECT_EQ(value["name"], "/web");
    EXPECT_EQ(value["id"], "abc");
    EXPECT_EQ(value["cpu_stats"]["cpu_usage"]["total_usage"], 300);
    EXPECT_EQ(value["cpu_stats"]["online_cpus"], 2);
    EXPECT_EQ(value["precpu_stats"]["cpu_usage"]["total_usage"], 200);
    EXPECT_EQ(value["memory_stats"]["stats"]["inactive_file"], 40);
    EXPECT_EQ(value["pids_stats"]["limit"], std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(value["blkio_stats"]["io_service_bytes_recursive"][1]["op"], "write");
    EXPECT_EQ(value["blkio_stats"]["io_service_bytes_recursive"][1]["value"], 12);
    EXPECT_EQ(value["networks"]["eth0"]["rx_bytes"], 7);
}

TEST(Stats, a_container_that_does_not_run_has_an_empty_object) {
    const auto value = stats_json("abc", "web", {}, {});
    EXPECT_EQ(value["read"], "0001-01-01T00:00:00Z");
    EXPECT_EQ(value["memory_stats"], nlohmann::json::object());
    EXPECT_EQ(value["cpu_stats"]["cpu_usage"]["total_usage"], 0);
    EXPECT_FALSE(value.contains("networks"));
}

TEST(Stats, without_a_cgroup_the_processes_are_summed_up) {
    StatsTarget target;
    target.process1 = getpid();
    const StatsSample sample = read_sample(target, read_host_cpu());
    EXPECT_GT(sample.memory_usage, 1U << 20);
    EXPECT_GT(sample.memory_limit, sample.memory_usage);
    EXPECT_GE(sample.pids, 1U);
    EXPECT_GT(sample.cpu.host.used_ns, 0U);
    EXPECT_EQ(sample.block.size(), 1U);
}

TEST(Stats, a_process_that_has_gone_counts_nothing) {
    StatsTarget target;
    target.process1 = 0x3fffffff;
    const StatsSample sample = read_sample(target, {});
    EXPECT_EQ(sample.memory_usage, 0U);
    EXPECT_EQ(sample.pids, 0U);
}

}  // namespace
}  // namespace berth::engine
