// What the supervisor does to get a delegated part of the cgroup tree, decided from the
// configuration and from where it runs. Pure; delegation.h carries it out.
#pragma once

#include <sys/types.h>

#include <string>

#include "daemon/config.h"

namespace berth::daemon {

/// Where this process is, as the system says.
struct CgroupPlace final {
    std::string hierarchy;          // where version 2 is mounted; empty: nowhere
    std::string own;                // the supervisor's cgroup, below the hierarchy
    bool manager_writable = false;  // processes may be moved about in the user manager's subtree
    uid_t uid = 0;
    pid_t pid = 0;
};

enum class CgroupDriver {
    none,       // by the user's wish
    systemd,    // a scope of the user manager
    directory,  // one that somebody delegated by chown
};

struct DelegationPlan final {
    CgroupDriver driver = CgroupDriver::systemd;
    std::string directory;  // driver directory: absolute
    std::string slice;      // driver systemd: of the scope
    std::string scope;
    std::string engine_scope;   // the supervisor moves into it first; empty: it is well where it is
    std::string stopped_first;  // the unit that must be stopped before the scope; may be empty
};

/// `config` was checked.
DelegationPlan plan_delegation(const Config& config, const CgroupPlace& place);
/// "native.cgroupdriver" of exec-opts; empty: not said.
std::string wanted_cgroup_driver(const Config& config);
/// True for what check_config lets pass as cgroup-parent: "", a slice's name, an absolute path.
bool is_cgroup_parent(const std::string& text);

}  // namespace berth::daemon
