// Where a container's cgroup is. The directory is chosen at the start and kept in the record, so
// that an engine with other settings finds the cgroup of a container that ran on.
#pragma once

#include <string>

#include "engine/model/record.h"
#include "engine/settings.h"

namespace berth::engine {

/// The directory of a running container's cgroup, below /sys/fs/cgroup; empty: it has none.
std::string cgroup_of(const model::ContainerRecord& record);

/// The directory that the next start gives to the container: ID in the delegated directory, or in
/// what --cgroup-parent names. Empty without a delegation. Looks at the file system. Throws
/// Error{invalid} for a parent that cannot be used.
std::string choose_cgroup(const model::ContainerRecord& record, const Settings& settings);

/// The same directory as linux.cgroupsPath has it: below the mount point of the hierarchy.
std::string path_in_hierarchy(const std::string& directory);

/// Removes what is left of a cgroup, processes and cgroups inside included, and the parents that
/// were made for it in the delegation. Nothing when `directory` is empty. Blocks: for a worker.
void remove_cgroup(const std::string& directory, const CgroupDelegation& delegation);

}  // namespace berth::engine
