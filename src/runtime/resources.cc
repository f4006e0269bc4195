#include "runtime/resources.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace berth::runtime {
namespace {

using linux_os::CgroupWrite;
using Writes = std::vector<CgroupWrite>;

void add(Writes& writes, std::string file, std::string text) {
    writes.push_back({std::move(file), std::move(text), "", CgroupWrite::Absent::refused});
}

void add_if_there(Writes& writes, std::string file, std::string text) {
    writes.push_back({std::move(file), std::move(text), "", CgroupWrite::Absent::ignored});
}

std::string limit_text(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

/// cpu.weight 1..10000 from shares 2..262144: a curve through both ends on which the defaults, 1024
/// and 100, meet as well.
std::uint64_t weight_of_shares(std::uint64_t shares) {
    if (shares <= 2) return 1;
    if (shares >= 262144) return 10000;
    const double log = std::log2(static_cast<double>(shares));
    const double exponent = (log * log + 125 * log) / 612.0 - 7.0 / 34.0;
    return static_cast<std::uint64_t>(std::ceil(std::pow(10, exponent)));
}

/// io.weight 1..10000 from 10..1000.
std::uint64_t io_weight(std::uint64_t weight) {
    return 1 + (std::clamp<std::uint64_t>(weight, 10, 1000) - 10) * 9999 / 990;
}

/// The specification counts memory and swap together, version 2 swap alone.
std::optional<std::int64_t> swap_limit(const oci::Resources& resources) {
    const std::int64_t memory = resources.memory_limit.value_or(0);
    const std::int64_t both = resources.memory_swap.value_or(0);
    if (both < 0 || (both == 0 && memory < 0)) return -1;
    if (both == 0) return std::nullopt;
    if (memory <= 0)
        throw Error(ErrorKind::invalid,
                    "linux.resources.memory: a swap limit needs a memory limit");
    if (both < memory)
        throw Error(ErrorKind::invalid,
                    "linux.resources.memory: swap {} counts memory too and is below its limit {}",
                    both, memory);
    return both - memory;
}

void add_memory(const oci::Resources& resources, Writes& writes) {
    if (const auto swap = swap_limit(resources)) {
        // A kernel without swap accounting has no such file; then "none" and "all" are the same.
        if (*swap <= 0)
            add_if_there(writes, "memory.swap.max", limit_text(*swap));
        else
            add(writes, "memory.swap.max", limit_text(*swap));
    }
    if (resources.memory_limit.value_or(0) != 0)
        add(writes, "memory.max", limit_text(*resources.memory_limit));
    if (resources.memory_reservation.value_or(0) != 0)
        add(writes, "memory.low", limit_text(*resources.memory_reservation));
}

void add_cpu(const oci::Resources& resources, Writes& writes) {
    // An idle cgroup has no weight: the kernel refuses to write one.
    if (resources.cpu_idle && *resources.cpu_idle == 0) add(writes, "cpu.idle", "0");
    if (resources.cpu_shares.value_or(0) != 0)
        add(writes, "cpu.weight", std::to_string(weight_of_shares(*resources.cpu_shares)));
    if (resources.cpu_idle && *resources.cpu_idle != 0)
        add(writes, "cpu.idle", std::to_string(*resources.cpu_idle));
    if (resources.cpu_quota.value_or(0) != 0 || resources.cpu_period.value_or(0) != 0) {
        // The kernel's burst may not exceed a quota that is only now made smaller.
        if (resources.cpu_burst) add_if_there(writes, "cpu.max.burst", "0");
        const std::int64_t quota = resources.cpu_quota.value_or(0);
        const std::uint64_t period = resources.cpu_period.value_or(0);
        add(writes, "cpu.max",
            fmt::format("{} {}", quota <= 0 ? "max" : std::to_string(quota),
                        period == 0 ? 100000 : period));
    }
    if (resources.cpu_burst)
        add_if_there(writes, "cpu.max.burst", std::to_string(*resources.cpu_burst));
    if (!resources.cpuset_cpus.empty()) add(writes, "cpuset.cpus", resources.cpuset_cpus);
    if (!resources.cpuset_mems.empty()) add(writes, "cpuset.mems", resources.cpuset_mems);
}

void add_rates(const std::vector<oci::DeviceRate>& rates, const char* key, Writes& writes) {
    for (const oci::DeviceRate& one : rates)
        add(writes, "io.max",
            fmt::format("{}:{} {}={}", one.major, one.minor, key,
                        one.rate == 0 ? "max" : std::to_string(one.rate)));
}

void add_io(const oci::Resources& resources, Writes& writes) {
    if (resources.blkio_weight.value_or(0) != 0) {
        const std::uint64_t weight = *resources.blkio_weight;
        add_if_there(writes, "io.bfq.weight", std::to_string(weight));
        add(writes, "io.weight", fmt::format("default {}", io_weight(weight)));
        writes.back().second_to = "io.bfq.weight";
    }
    for (const oci::DeviceRate& one : resources.weight_devices) {
        const std::string device = fmt::format("{}:{} ", one.major, one.minor);
        add_if_there(writes, "io.bfq.weight", device + std::to_string(one.rate));
        add(writes, "io.weight", device + std::to_string(io_weight(one.rate)));
        writes.back().second_to = "io.bfq.weight";
    }
    add_rates(resources.read_bps, "rbps", writes);
    add_rates(resources.write_bps, "wbps", writes);
    add_rates(resources.read_iops, "riops", writes);
    add_rates(resources.write_iops, "wiops", writes);
}

void add_others(const oci::Resources& resources, Writes& writes) {
    if (resources.pids_limit)
        add(writes, "pids.max",
            limit_text(*resources.pids_limit <= 0 ? -1 : *resources.pids_limit));
    for (const auto& [size, limit] : resources.hugepage_limits) {
        add(writes, fmt::format("hugetlb.{}.max", size), std::to_string(limit));
        add_if_there(writes, fmt::format("hugetlb.{}.rsvd.max", size), std::to_string(limit));
    }
    for (const auto& [device, limit] : resources.rdma) {
        std::string text = device;
        if (limit.handles) text += fmt::format(" hca_handle={}", *limit.handles);
        if (limit.objects) text += fmt::format(" hca_object={}", *limit.objects);
        add(writes, "rdma.max", std::move(text));
    }
    for (const auto& [file, text] : resources.unified) add(writes, file, text);
}

}  // namespace

Writes cgroup_settings(const oci::Resources& resources) {
    Writes writes;
    add_memory(resources, writes);
    add_cpu(resources, writes);
    add_io(resources, writes);
    add_others(resources, writes);
    return writes;
}

std::string cgroup_path(const std::string& cgroups_path, const std::string& id) {
    if (cgroups_path.empty()) return "/" + id;
    const auto first = cgroups_path.find(':');
    const auto second = first == std::string::npos ? first : cgroups_path.find(':', first + 1);
    if (second == std::string::npos) return cgroups_path;
    const std::string slice = cgroups_path.substr(0, first);
    const std::string prefix = cgroups_path.substr(first + 1, second - first - 1);
    const std::string name = cgroups_path.substr(second + 1);
    return fmt::format("/{}/{}{}.scope", slice.empty() ? "system.slice" : slice,
                       prefix.empty() ? "" : prefix + "-", name);
}

}  // namespace berth::runtime
