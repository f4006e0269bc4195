// `linux.resources` as files of cgroup version 2, by the conversions of runc. Pure. The engine uses
// it too, for live updates.
#pragma once

#include <string>
#include <vector>

#include "linux/cgroup.h"
#include "oci/runtime_spec.h"

namespace berth::runtime {

/// What to write, in the order of writing. Throws Error{invalid} for contradictions.
std::vector<linux_os::CgroupWrite> cgroup_settings(const oci::Resources& resources);
/// The path below the hierarchy: "slice:prefix:name" of systemd becomes slice/prefix-name.scope.
std::string cgroup_path(const std::string& cgroups_path, const std::string& id);

}  // namespace berth::runtime
