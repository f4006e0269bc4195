// The tmpfs of a volume, mounted on its directory in the engine's mount namespace while a running
// container uses it, so that all of them share one. Synchronous, on a worker. Throws Error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace berth::engine {

/// Where a running container has a volume.
struct VolumeUse final {
    int pid = 0;  // of its process 1
    std::string destination;
};

/// A new one, detached.
UniqueFd make_tmpfs(const std::vector<std::string>& options);
/// Mounts it unless it is mounted. `use`: a container that has it from a former engine, whose
/// mounts went with it; that one's is taken. `root` is the directory of all volumes.
void mount_tmpfs(const std::string& root, const std::string& target,
                 const std::vector<std::string>& options, const std::optional<VolumeUse>& use);
/// Harmless when it is not mounted.
void unmount_tmpfs(const std::string& target);

}  // namespace berth::engine
