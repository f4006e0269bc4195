#include "engine/cgroup_limits.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "base/error.h"
#include "runtime/resources.h"

namespace berth::engine {

namespace {

constexpr std::int64_t kPeriod = 100'000;  // microseconds, of --cpus

std::vector<oci::DeviceRate> rates_of(const std::vector<model::BlockLimit>& limits,
                                      const DeviceNumbers& devices) {
    std::vector<oci::DeviceRate> rates;
    for (const model::BlockLimit& one : limits) {
        const auto& [major_number, minor_number] = devices.at(one.path);
        rates.push_back({major_number, minor_number, static_cast<std::uint64_t>(one.value)});
    }
    return rates;
}

void set_if(std::optional<std::int64_t>& target, std::int64_t value) {
    if (value != 0) target = value;
}

void add_memory(const model::Resources& from, const model::Abilities& abilities,
                oci::Resources& to) {
    if (!abilities.memory_limit) return;
    set_if(to.memory_limit, from.memory);
    set_if(to.memory_reservation, from.memory_reservation);
    if (abilities.swap_limit) set_if(to.memory_swap, from.memory_swap);
}

void add_cpu(const model::Resources& from, oci::Resources& to) {
    if (from.cpu_shares != 0) to.cpu_shares = static_cast<std::uint64_t>(from.cpu_shares);
    if (from.nano_cpus != 0) {
        to.cpu_period = static_cast<std::uint64_t>(kPeriod);
        to.cpu_quota = from.nano_cpus * kPeriod / 1'000'000'000;
        return;
    }
    set_if(to.cpu_quota, from.cpu_quota);
    if (from.cpu_period != 0) to.cpu_period = static_cast<std::uint64_t>(from.cpu_period);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

DeviceNumbers device_numbers(const model::Resources& resources) {
    DeviceNumbers numbers;
    for (const auto* list : {&resources.weight_devices, &resources.read_bps, &resources.write_bps,
                             &resources.read_iops, &resources.write_iops})
        for (const model::BlockLimit& one : *list) {
            struct stat status {};
            if (::stat(one.path.c_str(), &status) < 0) throw_errno("stat {}", one.path);
            if (!S_ISBLK(status.st_mode))
                throw Error(ErrorKind::invalid, "{} is not a block device", one.path);
            numbers[one.path] = {major(status.st_rdev), minor(status.st_rdev)};
        }
    return numbers;
}

oci::Resources limits_of(const model::Resources& from, const model::Abilities& abilities,
                         const DeviceNumbers& devices) {
    oci::Resources to;
    add_memory(from, abilities, to);
    if (abilities.cpu_limit) add_cpu(from, to);
    if (abilities.cpuset) {
        to.cpuset_cpus = from.cpuset_cpus;
        to.cpuset_mems = from.cpuset_mems;
    }
    if (abilities.pids_limit && from.pids_limit.value_or(0) > 0) to.pids_limit = from.pids_limit;
    if (abilities.io_weight) {
        if (from.blkio_weight != 0) to.blkio_weight = static_cast<std::uint16_t>(from.blkio_weight);
        to.weight_devices = rates_of(from.weight_devices, devices);
    }
    if (abilities.io) {
        to.read_bps = rates_of(from.read_bps, devices);
        to.write_bps = rates_of(from.write_bps, devices);
        to.read_iops = rates_of(from.read_iops, devices);
        to.write_iops = rates_of(from.write_iops, devices);
    }
    return to;
}

std::vector<linux_os::CgroupWrite> limit_changes(const oci::Resources& before,
                                                 const oci::Resources& after) {
    oci::Resources wanted = after;
    // The one limit that an update can take away.
    if (before.pids_limit && !after.pids_limit) wanted.pids_limit = -1;
    std::vector<linux_os::CgroupWrite> changes = runtime::cgroup_settings(wanted);
    const std::vector<linux_os::CgroupWrite> present = runtime::cgroup_settings(before);
    std::erase_if(changes, [&](const linux_os::CgroupWrite& write) {
        return std::ranges::find(present, write) != present.end();
    });
    return changes;
}

void apply_or_restore(const linux_os::Cgroup& cgroup,
                      const std::vector<linux_os::CgroupWrite>& writes) {
    std::vector<linux_os::CgroupWrite> former;
    for (const linux_os::CgroupWrite& write : writes) try {
            former.push_back({write.file, first_line(cgroup.read(write.file)), "",
                              linux_os::CgroupWrite::Absent::ignored});
        } catch (const Error&) {
            continue;  // no such file: apply() says so, or has a second choice
        }
    try {
        cgroup.apply(writes);
    } catch (...) {
        std::ranges::reverse(former);
        for (const linux_os::CgroupWrite& write : former) try {
                cgroup.write(write.file, write.text);
            } catch (const Error&) {
                continue;  // the first error is the one that matters
            }
        throw;
    }
}

}  // namespace berth::engine
