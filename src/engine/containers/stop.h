// Ending containers: stop, kill, restart. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// Throws Error{not_modified} when it does not run.
async::Task<void> stop_container(ContainerState& state, ContainerPtr container,
                                 StopOptions options);
/// `name` is what the client called it.
async::Task<void> kill_container(ContainerState& state, ContainerPtr container, std::string name,
                                 std::string signal);
async::Task<void> restart_container(ContainerState& state, ContainerPtr container,
                                    StopOptions options);
/// SIGKILL, then waits for the exit; the shim is passed over when it does not answer.
async::Task<void> kill_and_wait(ContainerState& state, ContainerPtr container);

}  // namespace berth::engine
