// Removing containers. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// `ref` is what the client calls the container; errors say it as well.
async::Task<void> remove_container(ContainerState& state, ContainerPtr container, std::string ref,
                                   RemoveOptions options);
/// The caller holds `operations`; the container does not run.
async::Task<void> remove_locked(ContainerState& state, ContainerPtr container,
                                RemoveOptions options);

}  // namespace berth::engine
