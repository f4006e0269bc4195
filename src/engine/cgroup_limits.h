// A container's limits on their way into its cgroup: as the OCI specification has them for the
// start, and as files for an update of one that runs. What this machine cannot do is left out; the
// warnings of create and update say so.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/container_config.h"
#include "engine/model/validate.h"
#include "linux/cgroup.h"
#include "oci/runtime_spec.h"

namespace berth::engine {

/// Major and minor number of each block device that the limits name, by path.
using DeviceNumbers = std::map<std::string, std::pair<std::int64_t, std::int64_t>>;
/// Looks at the devices. Throws Error naming one that is not there or no block device.
DeviceNumbers device_numbers(const model::Resources& resources);

/// Pure.
oci::Resources limits_of(const model::Resources& resources, const model::Abilities& abilities,
                         const DeviceNumbers& devices);

/// What has to be written so that a cgroup with the limits `before` has those of `after`. Pure.
std::vector<linux_os::CgroupWrite> limit_changes(const oci::Resources& before,
                                                 const oci::Resources& after);
/// Writes all; when one fails, those that were written get their former values back and the error
/// is thrown.
void apply_or_restore(const linux_os::Cgroup& cgroup,
                      const std::vector<linux_os::CgroupWrite>& writes);

}  // namespace berth::engine
