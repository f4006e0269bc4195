// Pausing by the freezer of the container's cgroup. The state after a restart of the engine is what
// the cgroup says. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// Returns when nothing in the container runs any more. Throws Error{conflict} with Docker's texts,
/// and Error{internal} that says why and how to mend it where the container has no cgroup.
async::Task<void> pause_container(ContainerState& state, ContainerPtr container);
async::Task<void> unpause_container(ContainerState& state, ContainerPtr container);
/// Lets a paused container take the signal that it was just sent; nothing when it is not paused.
async::Task<void> unpause_for_signal(ContainerState& state, ContainerPtr container);
/// What the kernel says of a container that runs.
bool is_frozen(const model::ContainerRecord& record);

}  // namespace berth::engine
