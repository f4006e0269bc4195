// What one container uses at one moment: its cgroup's files where it has one, else sums over its
// processes in /proc, file by file (a controller may be missing). Reading blocks for some dozens of
// microseconds a container: for a worker. The parsers are pure.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace berth::engine {

/// The whole machine's processor time, of /proc/stat.
struct HostCpu final {
    std::uint64_t used_ns = 0;
    int cpus = 0;
};

struct CpuUse final {
    std::uint64_t total_ns = 0, user_ns = 0, system_ns = 0;
    std::uint64_t periods = 0, throttled_periods = 0, throttled_ns = 0;
    HostCpu host;
};

/// Since the container's start. A device of 0:0 stands for all of them.
struct BlockUse final {
    std::uint64_t major = 0, minor = 0;
    std::uint64_t read_bytes = 0, written_bytes = 0;
    std::uint64_t reads = 0, writes = 0;
};

struct InterfaceUse final {
    std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
    std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};

using Counters = std::map<std::string, std::uint64_t>;

struct StatsSample final {
    Timestamp at;  // zero: the container did not run
    CpuUse cpu;
    std::uint64_t memory_usage = 0, memory_limit = 0, memory_failures = 0;
    Counters memory;  // memory.stat
    std::vector<BlockUse> block;
    std::uint64_t pids = 0, pids_limit = 0;
    std::map<std::string, InterfaceUse> interfaces;
};

struct StatsTarget final {
    std::string cgroup;  // its directory; empty: none
    pid_t process1 = 0;
    bool own_network = true;  // false: the host's, which is nothing of the container
};

HostCpu read_host_cpu();
/// Never throws: what cannot be read, because the container ends meanwhile, is 0.
StatsSample read_sample(const StatsTarget& target, const HostCpu& host);
/// The container's processes as this process sees them.
std::vector<pid_t> processes_of(const StatsTarget& target);

/// Lines "key value", as in cpu.stat, memory.stat and memory.events.
Counters parse_counters(std::string_view text);
/// Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …".
std::vector<BlockUse> parse_io_stat(std::string_view text);
/// /proc/PID/net/dev without the loopback.
std::map<std::string, InterfaceUse> parse_net_dev(std::string_view text);
/// /proc/stat; `tick_ns` is the length of a clock tick.
HostCpu parse_host_cpu(std::string_view text, std::uint64_t tick_ns);

}  // namespace berth::engine
