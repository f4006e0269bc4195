// `linux.resources` as files of cgroup version 2.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "oci/runtime_spec.h"

namespace berth::runtime {

/// {file, text} in the order of writing. Pure.
std::vector<std::pair<std::string, std::string>> cgroup_settings(const oci::Resources& resources);
/// The path below the hierarchy: "slice:prefix:name" of systemd becomes slice/prefix-name.scope.
std::string cgroup_path(const std::string& cgroups_path, const std::string& id);

}  // namespace berth::runtime
