// A container's root file system for the engine itself, with its volumes, binds and images, in
// every state of the container: mounted in a mount namespace that no process is in, where nothing
// but two descriptors holds it. tmpfs, /proc, /sys and /dev of the container are not in it. Reach
// what is below `root` by linux/rooted_path.h only: the container may swap links while it runs.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "base/unique_fd.h"
#include "engine/containers/state.h"
#include "engine/model/userns.h"

namespace berth::engine {

/// Destroy it on a worker: unmounting may wait for the disk.
struct RootView final {
    UniqueFd mount_namespace;
    UniqueFd root;  // O_PATH
    /// Owners in it are ids of the engine's namespace; these say what they are in the container's.
    model::IdMaps maps;
};

enum class RootAccess { read, write };
enum class RootMounts { none, all };

struct OpenRoot final {
    std::shared_ptr<RootView> view;
    /// Held for a container that does not run and is written to: its start has to wait, since two
    /// overlays must not write to one upper directory.
    async::Lock::Guard guard;
};
/// Mounts it. Throws Error{conflict} for a container that is being removed.
async::Task<OpenRoot> open_root(ContainerState& state, ContainerPtr container, RootAccess access,
                                RootMounts mounts);

/// Where something is mounted in the container by the engine or the runtime, relative to its root.
std::set<std::string> mount_points_of(const model::ContainerRecord& record);

}  // namespace berth::engine
