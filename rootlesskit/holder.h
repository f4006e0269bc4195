// The holder: a process that only sleeps in the user, mount and container-network namespaces, so
// that they outlive supervisor, engine and network process. Order of its start:
// clone into a user namespace -> newuidmap and newgidmap from outside -> (child) mount and network
// namespaces -> exec of `berthd holder` -> one byte back. Call from a single-threaded process.
#pragma once

#include <string>
#include <vector>

#include "linux/pid_fd.h"
#include "rootlesskit/id_ranges.h"

namespace berth::rootlesskit {

struct HolderPlan final {
    std::string newuidmap;  // full paths
    std::string newgidmap;
    std::vector<MapEntry> uid_map;
    std::vector<MapEntry> gid_map;
};

/// Which step of the start failed; preflight.h explains it.
enum class HolderStep { clone, map_uids, map_gids, mounts, network, exec };

struct HolderFailure final {
    HolderStep step;
    int errno_value;
    std::string detail;  // what newuidmap said
};

/// A new holder in a new user namespace. Throws HolderFailure.
linux_os::PidFd start_holder(const HolderPlan& plan);
/// A new holder in the user namespace of `member`, a process that outlived the former holder.
/// Throws HolderFailure.
linux_os::PidFd start_holder_in(const linux_os::PidFd& member);
/// The program `berthd holder`: reports on descriptor 3 and sleeps until it is killed.
[[noreturn]] void sleep_as_holder();

}  // namespace berth::rootlesskit
