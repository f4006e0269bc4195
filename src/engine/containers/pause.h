// Pausing by the freezer of the container's cgroup. After a restart of the engine a container is
// paused when a client paused it and its cgroup is frozen. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

enum class PausedBy { client, engine };
/// Returns when nothing in the container runs any more. Throws Error{conflict} with Docker's texts,
/// and Error{internal} that says why and how to mend it where the container has no cgroup.
async::Task<void> pause_container(ContainerState& state, ContainerPtr container,
                                  PausedBy by = PausedBy::client);
async::Task<void> unpause_container(ContainerState& state, ContainerPtr container);
/// Lets a paused container take the signal that it was just sent; nothing when it is not paused.
/// A failure is logged.
async::Task<void> unpause_for_signal(ContainerState& state, ContainerPtr container);
/// Of a container that was found running: paused or running. A pause of a former engine's own, or
/// one that it did not live to book, ends.
async::Task<void> recover_pause(ContainerState& state, ContainerPtr container);

}  // namespace berth::engine
