// What a create request may not say, with Docker's texts. Pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "engine/model/container_config.h"
#include "engine/model/userns.h"

namespace berth::engine::model {

/// What this machine and engine can do; limits by the controllers that are delegated.
struct Abilities final {
    int cpus = 1;
    bool memory_limit = false, swap_limit = false, cpu_limit = false, pids_limit = false;
    bool cpuset = false;
    bool io = false, io_weight = false;      // rates, weights
    bool cgroup = false;                     // containers have one: they can be paused and counted
    std::set<int> usable_cpus, usable_mems;  // of --cpuset-…; empty: not known
    std::string cgroup_problem;              // what is missing and what mends it
    int cgroup_version = 2;
    int lowest_oom_score = -1000;  // that this user may set
    UserIds user;                  // who runs the engine, outside of its namespace
    UserIds id_counts{1, 1};       // how many ids the engine's namespace has, from 0 on
    std::set<std::string> runtimes;
    // Of containers with a network of their own; empty: the standard one.
    std::string congestion_control;
};

/// Throws Error{invalid} for the first thing that is wrong.
void validate(const ContainerConfig& config, const HostConfig& host,
              const NetworkingConfig& networking, const Abilities& abilities);

/// "80/tcp" or "80"; returns the number and sets nothing. Throws Error{invalid} `invalid port`.
struct PortSpec final {
    std::uint16_t number = 0;
    std::string protocol = "tcp";
    bool operator==(const PortSpec&) const = default;
};
PortSpec port_spec_from(const std::string& text);
/// "8000" or "8000-8010"; {0, 0} when empty.
std::pair<std::uint16_t, std::uint16_t> host_port_range(const std::string& text);

/// "no-new-privileges", "seccomp=…" and so on, read.
struct SecurityOptions final {
    bool no_new_privileges = false;
    std::string seccomp;  // empty: the default; "unconfined"; else a profile's JSON
    bool unconfined_paths = false;
};
/// Throws Error{invalid} for an unknown one.
SecurityOptions security_options_from(const std::vector<std::string>& options,
                                      bool default_no_new_privileges);

/// CapAdd and CapDrop applied to the default set, sorted as the default set is. Throws
/// Error{invalid} for an unknown name.
std::vector<std::string> capabilities_of(const HostConfig& host);

}  // namespace berth::engine::model
