// At engine start: records on disk against what still lives. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// Reads all records, takes over living shims, books exits that were missed, removes half-made
/// containers, then starts what the restart policies want.
async::Task<void> reconcile(ContainerState& state);
/// Stops what runs, within the shutdown timeout; nothing with live-restore.
async::Task<void> stop_all(ContainerState& state);

}  // namespace berth::engine
