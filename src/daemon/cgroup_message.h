// The `cgroup` object of the `configure` message: the delegation as the supervisor got it and the
// engine uses it (docs/processes.md, "Cgroups"). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/settings.h"

namespace berth::daemon {

nlohmann::json cgroup_to_json(const engine::CgroupDelegation& cgroup);
/// Absent members keep their default. Throws Error{invalid} naming the member.
engine::CgroupDelegation cgroup_from_json(const nlohmann::json& value);

}  // namespace berth::daemon
