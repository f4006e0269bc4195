#include "engine/abilities.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "engine/model/resources.h"
#include "linux/cgroup.h"
#include "linux/congestion_control.h"
#include "linux/mapped_ids.h"

namespace berth::engine {

namespace {

int count_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

/// A list like "0-3" in a file; nothing when it cannot be read.
std::set<int> numbers_in(const std::string& path) {
    std::string text = read_file_if_exists(path).value_or("");
    while (text.ends_with('\n')) text.pop_back();
    try {
        return model::number_list_from(text);
    } catch (const Error&) {
        return {};
    }
}

/// Only the kernel knows: it keeps a lowest value that root once set for an ancestor of ours. So
/// lower ones are tried, and the present one is put back.
int find_lowest_oom_score() {
    const UniqueFd file(::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
    char text[16] = {};
    if (!file || ::read(file.get(), text, sizeof text - 1) <= 0) return -1000;
    const int present = std::atoi(text);
    const auto takes = [&](int score) {
        const std::string wanted = std::to_string(score);
        return ::pwrite(file.get(), wanted.data(), wanted.size(), 0) > 0;
    };
    int refused = -1001;
    int taken = present;
    while (taken - refused > 1) {
        const int middle = taken + (refused - taken) / 2;
        (takes(middle) ? taken : refused) = middle;
    }
    takes(present);
    return taken;
}

void add_ids(model::Abilities& abilities) {
    const linux_os::MappedIds users = linux_os::MappedIds::users();
    const linux_os::MappedIds groups = linux_os::MappedIds::groups();
    abilities.user = {static_cast<std::uint32_t>(users.outside(0)),
                      static_cast<std::uint32_t>(groups.outside(0))};
    abilities.id_counts = {static_cast<std::uint32_t>(users.count()),
                           static_cast<std::uint32_t>(groups.count())};
}

void add_limits(const CgroupDelegation& delegation, model::Abilities& abilities) {
    abilities.cgroup_problem = delegation.problem;
    abilities.cgroup_version =
        linux_os::Cgroup::hierarchy() == "/sys/fs/cgroup" || !delegation.directory.empty() ? 2 : 1;
    if (delegation.directory.empty()) return;
    const auto has = [&](const char* name) { return delegation.controllers.contains(name); };
    // The delegated directory has the files that those of the containers will have.
    const auto there = [&](const char* file) { return exists(delegation.directory + "/" + file); };
    abilities.cgroup = true;
    abilities.memory_limit = has("memory");
    abilities.swap_limit = has("memory") && there("memory.swap.max");
    abilities.cpu_limit = has("cpu");
    abilities.pids_limit = has("pids");
    abilities.cpuset = has("cpuset");
    abilities.io = has("io") && there("io.max");
    abilities.io_weight = has("io") && (there("io.weight") || there("io.bfq.weight"));
    if (!abilities.cpuset) return;
    abilities.usable_cpus = numbers_in(delegation.directory + "/cpuset.cpus.effective");
    abilities.usable_mems = numbers_in(delegation.directory + "/cpuset.mems.effective");
}

}  // namespace

model::Abilities find_abilities(const Settings& settings) {
    model::Abilities abilities;
    abilities.cpus = count_cpus();
    abilities.usable_cpus = numbers_in("/sys/devices/system/cpu/online");
    abilities.usable_mems = numbers_in("/sys/devices/system/node/online");
    abilities.lowest_oom_score = find_lowest_oom_score();
    add_ids(abilities);
    (void)model::kept_ids_from(settings.default_userns_mode, abilities.user);  // stops the engine
    add_limits(settings.cgroup, abilities);
    // Every TCP connection of a container ends in another one or in the network process.
    abilities.congestion_control = linux_os::local_congestion_control();
    // Clients and recorded containers name Docker's own runtime: it means the built-in one.
    abilities.runtimes = {"berth", "runc", "io.containerd.runc.v2"};
    for (const auto& [name, program] : settings.runtimes) abilities.runtimes.insert(name);
    return abilities;
}

}  // namespace berth::engine
