// Runs the health checks of containers: one waiting coroutine for each container that has one, a
// probe at a time, through the exec service (so with its events). A paused container is not probed.
// Nothing here is touched by a container without a check. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// After a start: the health is "starting". Call before the state is saved.
void begin_health(ContainerState& state, const ContainerPtr& container);
/// For a container that ran on while the engine was away: its health is as it was.
void resume_health(ContainerState& state, const ContainerPtr& container);
/// The container's process has ended.
void end_health(Container& container);

}  // namespace berth::engine
