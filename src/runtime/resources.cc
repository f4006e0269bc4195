#include "runtime/resources.h"

#include <fmt/format.h>

#include <algorithm>

namespace berth::runtime {
namespace {

std::string limit_text(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

/// cpu.weight 1..10000 from shares 2..262144, as runc and crun count.
std::uint64_t weight_of_shares(std::uint64_t shares) {
    const std::uint64_t bounded = std::clamp<std::uint64_t>(shares, 2, 262144);
    return 1 + ((bounded - 2) * 9999) / 262142;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> cgroup_settings(const oci::Resources& resources) {
    std::vector<std::pair<std::string, std::string>> settings;
    const auto add = [&settings](const char* file, std::string text) {
        settings.emplace_back(file, std::move(text));
    };
    if (resources.memory_limit && *resources.memory_limit != 0)
        add("memory.max", limit_text(*resources.memory_limit));
    if (resources.memory_swap && *resources.memory_swap != 0) {
        // The specification counts memory and swap together, version 2 swap alone.
        const std::int64_t memory = resources.memory_limit.value_or(0);
        const std::int64_t swap = *resources.memory_swap;
        add("memory.swap.max",
            limit_text(swap < 0 ? -1 : std::max<std::int64_t>(0, swap - memory)));
    }
    if (resources.memory_reservation && *resources.memory_reservation != 0)
        add("memory.low", limit_text(*resources.memory_reservation));
    if (resources.cpu_shares && *resources.cpu_shares != 0)
        add("cpu.weight", std::to_string(weight_of_shares(*resources.cpu_shares)));
    if (resources.cpu_quota || resources.cpu_period) {
        const std::int64_t quota = resources.cpu_quota.value_or(-1);
        add("cpu.max", fmt::format("{} {}", quota <= 0 ? "max" : std::to_string(quota),
                                   resources.cpu_period.value_or(100000)));
    }
    if (resources.cpu_idle) add("cpu.idle", std::to_string(*resources.cpu_idle));
    if (!resources.cpuset_cpus.empty()) add("cpuset.cpus", resources.cpuset_cpus);
    if (!resources.cpuset_mems.empty()) add("cpuset.mems", resources.cpuset_mems);
    if (resources.pids_limit)
        add("pids.max", limit_text(*resources.pids_limit <= 0 ? -1 : *resources.pids_limit));
    if (resources.blkio_weight && *resources.blkio_weight != 0)
        add("io.weight", fmt::format("default {}", *resources.blkio_weight));
    for (const auto& [file, text] : resources.unified) settings.emplace_back(file, text);
    return settings;
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
