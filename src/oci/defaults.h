// What Docker gives a container when nothing is said: capabilities, masked and read-only paths,
// mounts and devices. The engine's spec builder starts from these.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "oci/runtime_spec.h"

namespace berth::oci {

/// The fourteen of Docker's default set.
const std::vector<std::string>& default_capabilities();
/// Every capability name that the kernel headers of the build know.
const std::vector<std::string>& all_capabilities();
const std::vector<std::string>& default_masked_paths();
const std::vector<std::string>& default_readonly_paths();
/// /proc /dev /dev/pts /sys /sys/fs/cgroup /dev/mqueue /dev/shm, in mount order.
std::vector<Mount> default_mounts(std::string_view shm_size);
/// /dev/null zero full random urandom tty. berth-runtime makes these (and the links ptmx, fd,
/// stdin, stdout, stderr) by itself, as bind mounts of the host's nodes where mknod is refused.
const std::vector<Device>& default_devices();
/// user mount pid network uts ipc cgroup without user: what every container has of its own.
std::vector<Namespace> default_namespaces();

}  // namespace berth::oci
