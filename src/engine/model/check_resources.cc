#include <algorithm>

#include "base/error.h"
#include "engine/model/resources.h"

namespace berth::engine::model {

namespace {

constexpr std::int64_t kMinMemory = 6 << 20;

[[noreturn]] void refuse_limit(const std::string& text) {
    throw Error::with_text(ErrorKind::invalid, text);
}

void check_memory(const Resources& r, Purpose purpose) {
    if (r.memory != 0 && r.memory < kMinMemory) refuse_limit("Minimum memory limit allowed is 6MB");
    if (r.memory > 0 && r.memory_swap > 0 && r.memory_swap < r.memory)
        refuse_limit("Minimum memoryswap limit should be larger than memory limit, see usage");
    if (r.memory == 0 && r.memory_swap > 0 && purpose == Purpose::create)
        refuse_limit(
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    if (r.memory_reservation != 0 && r.memory_reservation < kMinMemory)
        refuse_limit("Minimum memory reservation allowed is 6MB");
    if (r.memory > 0 && r.memory_reservation > r.memory)
        refuse_limit(
            "Minimum memory limit can not be less than memory reservation limit, see usage");
    const std::int64_t swappiness = r.memory_swappiness.value_or(-1);
    if (swappiness < -1 || swappiness > 100)
        refuse_limit(
            fmt::format("Invalid value: {}, valid memory swappiness range is 0-100", swappiness));
}

void check_cpu(const Resources& r, const Abilities& abilities) {
    if (r.cpu_shares < 0)
        refuse_limit(
            fmt::format("invalid CPU shares ({}): value must be a positive integer", r.cpu_shares));
    if (r.nano_cpus != 0 && r.cpu_period != 0)
        refuse_limit("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    if (r.nano_cpus != 0 && r.cpu_quota != 0)
        refuse_limit("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    if (r.nano_cpus < 0 || r.nano_cpus > abilities.cpus * 1'000'000'000LL)
        refuse_limit(
            fmt::format("range of CPUs is from 0.01 to {0}.00, as there are only {0} CPUs "
                        "available",
                        abilities.cpus));
    if (r.cpu_period != 0 && (r.cpu_period < 1000 || r.cpu_period > 1'000'000))
        refuse_limit(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. "
            "1000000)");
    if (r.cpu_quota > 0 && r.cpu_quota < 1000)
        refuse_limit("CPU cfs quota can not be less than 1ms (i.e. 1000)");
}

std::string list_text(const std::set<int>& numbers) {
    std::string text;
    for (auto at = numbers.begin(); at != numbers.end();) {
        const int first = *at;
        int last = first;
        for (++at; at != numbers.end() && *at == last + 1; ++at) last = *at;
        if (!text.empty()) text += ",";
        text += first == last ? std::to_string(first) : fmt::format("{}-{}", first, last);
    }
    return text;
}

void check_set(const std::string& asked, const std::set<int>& usable, const char* what,
               const char* name) {
    if (asked.empty()) return;
    std::set<int> numbers;
    try {
        numbers = number_list_from(asked);
    } catch (const Error& error) {
        refuse_limit(fmt::format("Invalid value {} for {}: {}", asked, name, error.message()));
    }
    if (usable.empty() || std::ranges::includes(usable, numbers)) return;
    refuse_limit(fmt::format("Requested {} are not available - requested {}, available: {}", what,
                             asked, list_text(usable)));
}

void check_io(const Resources& r) {
    const auto outside = [](std::int64_t weight) { return weight < 10 || weight > 1000; };
    if (r.blkio_weight != 0 && outside(r.blkio_weight))
        refuse_limit("Range of blkio weight is from 10 to 1000");
    for (const BlockLimit& one : r.weight_devices)
        if (outside(one.value)) refuse_limit("Range of blkio weight is from 10 to 1000");
    for (const auto* list : {&r.read_bps, &r.write_bps, &r.read_iops, &r.write_iops})
        for (const BlockLimit& one : *list)
            if (one.value < 0)
                refuse_limit(fmt::format("invalid rate {} of device {}", one.value, one.path));
}

}  // namespace

void check_resources(const Resources& r, const Abilities& abilities, Purpose purpose) {
    check_memory(r, purpose);
    check_cpu(r, abilities);
    check_set(r.cpuset_cpus, abilities.usable_cpus, "CPUs", "cpuset cpus");
    check_set(r.cpuset_mems, abilities.usable_mems, "memory nodes", "cpuset mems");
    check_io(r);
}

std::vector<std::string> limit_warnings(const Resources& r, const Abilities& abilities) {
    std::vector<std::string> lines;
    std::string problem = abilities.cgroup_problem;
    // Docker's words; the first line says what mends them all.
    const auto add = [&](bool asked, bool able, const char* what, const char* effect) {
        if (!asked || able) return;
        lines.push_back(fmt::format(
            "Your kernel does not support {} or the cgroup is not delegated. {} discarded{}{}.",
            what, effect, problem.empty() ? "" : ": ", problem));
        problem.clear();
    };
    const Abilities& able = abilities;
    add(r.memory > 0, able.memory_limit, "memory limit capabilities", "Limitation");
    if (r.memory > 0 && r.memory_swap != -1 && able.memory_limit && !able.swap_limit)
        lines.emplace_back(
            "Your kernel does not support swap limit capabilities. Memory limited without swap.");
    add(r.memory_reservation > 0, able.memory_limit, "memory soft limit capabilities",
        "Limitation");
    add(r.nano_cpus > 0, able.cpu_limit, "CPU CFS scheduler", "NanoCPUs");
    add(r.cpu_period > 0 || r.cpu_quota > 0, able.cpu_limit, "CPU CFS scheduler",
        "CPU period/quota");
    add(r.cpu_shares > 0, able.cpu_limit, "CPU shares", "Shares");
    add(!r.cpuset_cpus.empty() || !r.cpuset_mems.empty(), able.cpuset, "cpuset", "Cpuset");
    add(r.pids_limit.value_or(0) > 0, able.pids_limit, "PIDs limit capabilities", "PIDs limit");
    add(r.blkio_weight > 0, able.io_weight, "Block I/O weight", "Weight");
    add(!r.weight_devices.empty(), able.io_weight, "Block I/O weight_device (BlkioWeightDevice)",
        "Weight-device");
    add(!r.read_bps.empty(), able.io, "BPS Block I/O read limit (BlkioDeviceReadBps)",
        "Block I/O BPS read limit");
    add(!r.write_bps.empty(), able.io, "BPS Block I/O write limit (BlkioDeviceWriteBps)",
        "Block I/O BPS write limit");
    add(!r.read_iops.empty(), able.io, "IOPS Block read limit (BlkioDeviceReadIOps)",
        "Block I/O IOPS read limit");
    add(!r.write_iops.empty(), able.io, "IOPS Block write limit (BlkioDeviceWriteIOps)",
        "Block I/O IOPS write limit");
    add(!r.cgroup_parent.empty(), able.cgroup, "a CgroupParent", "CgroupParent");
    if (r.oom_kill_disable.value_or(false))
        lines.emplace_back(
            "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    if (r.memory_swappiness.value_or(-1) != -1)
        lines.emplace_back(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not "
            "mounted. Memory swappiness discarded (MemorySwappiness: cgroup v2 has none).");
    return lines;
}

}  // namespace berth::engine::model
