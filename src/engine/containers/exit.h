// What happens when a container's process 1 has ended: state, events, waits, network, and then
// removal or a restart by policy. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// Synchronous up to the acknowledgement, so that a client that sees the end of its stream finds
/// the new state. Cleaning up goes on in the background.
void handle_exit(ContainerState& state, const ContainerPtr& container, const shim::ExitEvent& exit);
/// Process 1 is gone; the exit may not be booked yet.
bool has_ended(const Container& container);
/// The same, or it is about to be: the kernel ends the others of its pid namespace first.
async::Task<bool> ends_now(ContainerPtr container);
/// The kernel killed a process of the container for want of memory.
void record_oom(ContainerState& state, Container& container);
/// The shim hung up without an exit: its record is read, else the container counts as killed.
void handle_shim_loss(ContainerState& state, const ContainerPtr& container);
/// Takes down what the container's volumes had mounted, where no other one uses it.
async::Task<void> unmount_volumes(ContainerState& state, ContainerPtr container);
/// Until the shim of the last run has gone and its directory is removed.
async::Task<void> wait_cleaned_up(Container& container);
/// Ends the pause before a restart; the container is exited then.
void cancel_restart(ContainerState& state, Container& container);
/// State, event and waits of an exit that happened while the engine was away.
void record_exit(ContainerState& state, Container& container, const shim::ExitEvent& exit);
/// The shim deletes the runtime's state of its container by itself; this is for one that was
/// killed. Ends the container's process if it lives. Blocks: for a worker.
void delete_runtime_state(const std::string& root, const std::string& id);
/// Removal or restart after an exit; takes `operations`.
async::Task<void> after_exit(ContainerState& state, ContainerPtr container);

}  // namespace berth::engine
