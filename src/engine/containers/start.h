// Starting a container: run directory, shim, network, process 1. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// By hand (API): checks the state, resets restart bookkeeping. Throws Error{not_modified} when it
/// runs already.
async::Task<void> start_by_hand(ContainerState& state, ContainerPtr container);
/// The start itself; the caller holds `operations` and has checked the state. When it fails the
/// container is as before, with the error and an exit code in its state.
async::Task<void> start_locked(ContainerState& state, ContainerPtr container);
/// Handlers of a shim's events for this container.
ShimHandlers shim_handlers(ContainerState& state, const ContainerPtr& container);

/// The exit code that Docker gives to a failed start: 127, 126 or 128.
int start_failure_code(const std::string& message);

}  // namespace berth::engine
