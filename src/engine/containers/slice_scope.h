// `--cgroup-parent NAME.slice`: a transient scope of the user manager in that slice for one
// container, with the shim in scope/support and the container in scope/ID. systemd makes a scope
// around a process only, so it is asked for when the shim lives and nothing was created yet. The
// scope goes by itself when the last process in it is gone.
#pragma once

#include <string>

#include "engine/model/record.h"
#include "engine/settings.h"

namespace berth::engine {

/// The slice that the container's next start needs a scope in; empty: none. A name that is no
/// slice's, or an engine without a systemd delegation, needs none.
std::string slice_of(const model::ContainerRecord& record, const Settings& settings);

/// Where the container's cgroup in a scope of that slice is. Throws Error{invalid} for a name that
/// systemd refuses.
std::string cgroup_in_slice(const std::string& slice, const std::string& id,
                            const CgroupDelegation& delegation);

/// A job for a worker: has systemd make the scope around the shim and lays it out. The shim of the
/// last run may still be in one: then that is used.
struct SliceScope final {
    std::string slice;
    std::string id;
    std::string cgroup;  // the container's, as cgroup_in_slice() said
    pid_t shim = -1;
    void operator()() const;
};

}  // namespace berth::engine
