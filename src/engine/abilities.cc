#include "engine/abilities.h"

#include <sched.h>
#include <unistd.h>

namespace berth::engine {

namespace {

int usable_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace

model::Abilities find_abilities(const Settings& settings) {
    // No limit is true yet: containers get no cgroup of their own before one is delegated.
    model::Abilities abilities;
    abilities.cpus = usable_cpus();
    // Clients and recorded containers name Docker's own runtime: it means the built-in one.
    abilities.runtimes = {"berth", "runc", "io.containerd.runc.v2"};
    for (const auto& [name, program] : settings.runtimes) abilities.runtimes.insert(name);
    return abilities;
}

}  // namespace berth::engine
