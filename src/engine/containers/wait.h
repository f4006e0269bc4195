// Clients that wait for a container's end. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

Wait begin_wait(Container& container, WaitCondition condition);
/// Ends the waits for an exit (next_exit and not_running).
void finish_exit_waits(Container& container, const WaitOutcome& outcome);
/// Ends all waits: the container is gone.
void finish_all_waits(Container& container, const WaitOutcome& outcome);

}  // namespace berth::engine
