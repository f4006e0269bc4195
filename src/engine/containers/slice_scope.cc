#include "engine/containers/slice_scope.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "linux/cgroup.h"
#include "systemd/cgroup_paths.h"
#include "systemd/client.h"

namespace berth::engine {

namespace {

std::string scope_name(const std::string& id) { return "berth-" + id.substr(0, 12) + ".scope"; }

/// The engine's own unit is stopped before its containers' scopes, so that it stops them in order.
std::string own_unit() {
    const auto text = read_file_if_exists("/proc/self/cgroup").value_or("");
    return systemd::unit_of(systemd::unified_path(text));
}

}  // namespace

std::string slice_of(const model::ContainerRecord& record, const Settings& settings) {
    const std::string& asked = record.host_config.resources.cgroup_parent;
    if (settings.cgroup.driver != "systemd" || asked.find('/') != std::string::npos) return "";
    return asked.ends_with(".slice") ? asked : "";
}

std::string cgroup_in_slice(const std::string& slice, const std::string& id,
                            const CgroupDelegation& delegation) {
    // The delegated directory is below the manager that makes the scope.
    return systemd::manager_of(delegation.directory) + systemd::slice_path(slice) + "/" +
           scope_name(id) + "/" + id;
}

void SliceScope::operator()() const {
    systemd::Scope scope;
    scope.name = scope_name(id);
    scope.description = "container " + id.substr(0, 12) + " of berth";
    scope.slice = slice;
    scope.pids = {shim};
    scope.tasks_max = systemd::kUnlimited;
    if (std::string unit = own_unit(); !unit.empty()) scope.before = {std::move(unit)};
    try {
        (void)systemd::start_scope(scope);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::conflict) throw;
    }
    const std::string directory = cgroup.substr(0, cgroup.rfind('/'));
    // A cgroup with processes of its own cannot pass controllers on.
    const std::string support = directory + "/support";
    if (::mkdir(support.c_str(), 0755) < 0 && errno != EEXIST)
        throw_errno("making the cgroup {}", support);
    const auto place = linux_os::Cgroup::open(support);
    if (!place) throw_errno("opening the cgroup {}", support);
    place->write("cgroup.procs", std::to_string(shim));
}

}  // namespace berth::engine
