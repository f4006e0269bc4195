// What the shim mounts for a container before the runtime makes it: the root file system, images,
// and places inside volumes. Synchronous, on a worker. Throws Error.
#pragma once

#include <map>
#include <string>

#include "engine/context.h"
#include "engine/model/record.h"
#include "engine/model/userns.h"
#include "shim/protocol.h"

namespace berth::engine {

/// With `maps`, owners show as the container's user namespace needs them (decision 0010).
shim::RootfsMount shim_rootfs(const storage::RootfsMount& rootfs, const model::IdMaps& maps);

/// The image of a mount, read-only; what it needs is made below the container's directory.
shim::RootfsMount image_rootfs(const model::MountPoint& point, const Storage& storage,
                               const std::string& directory, const model::IdMaps& maps);

struct MountPlaces final {
    std::string directory;      // of the container
    std::string run_directory;  // the mounts are made in it
    int ipc_process = 0;        // whose IPC namespace, and so /dev/shm, is shared; 0: nobody's
};
struct ShimMounts final {
    std::vector<shim::PreparedMount> mounts;
    std::map<std::string, std::string> sources;  // destination -> what is to be bound there
};
ShimMounts shim_mounts(const model::ContainerRecord& record, const Storage& storage,
                       const MountPlaces& places, const model::IdMaps& maps);

}  // namespace berth::engine
