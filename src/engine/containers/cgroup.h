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

}  // namespace berth::engine
