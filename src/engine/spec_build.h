// Turns a container's record into the OCI configuration that the runtime gets. Pure: all that has
// to be looked up (user, paths, namespaces) comes in by SpecInputs.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/execs.h"
#include "engine/model/record.h"
#include "engine/model/user.h"
#include "engine/settings.h"
#include "oci/runtime_spec.h"

namespace berth::engine {

struct SpecInputs final {
    const model::ContainerRecord& record;
    const Settings& settings;
    model::ProcessUser user;
    std::string rootfs = "rootfs";                            // relative to the bundle
    std::string hosts_path, hostname_path, resolv_conf_path;  // empty: not mounted
    std::string init_program;     // berth-init; used when the container wants an init
    std::string seccomp_profile;  // text of the daemon's profile; empty: built in
    /// Namespaces of other processes: "network", "ipc", "pid" -> /proc/PID/ns/…
    std::map<std::string, std::string> joined;
    std::string cgroups_path;                   // below the hierarchy; empty: no cgroup of its own
    oci::Resources limits;                      // of that cgroup
    int lowest_oom_score = -1000;               // that this user may set
    std::vector<std::string> link_variables;    // of --link
    std::vector<std::string> secret_variables;  // of process 1, which no record has
    std::set<std::string> absent_on_host;       // of /dev/mqueue and /dev/shm
    /// What is bound at a mount's destination where that is not its source.
    std::map<std::string, std::string> mount_sources;
    std::vector<oci::IdMapping> uid_map, gid_map;  // of a user namespace of its own; empty: none
    std::string congestion_control;         // of a network namespace of its own; empty: the host's
    std::vector<std::string> host_devices;  // what a privileged container gets besides the usual
};

oci::Spec build_spec(const SpecInputs& inputs);

/// The process of an exec: the container's own environment and rights, with what `exec` changes.
oci::Process build_exec_process(const SpecInputs& inputs, const ExecConfig& exec);

/// True when the container's process 1 gets an init in front.
bool wants_init(const model::ContainerRecord& record, const Settings& settings);

}  // namespace berth::engine
