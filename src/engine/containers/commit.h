// `docker commit`: what a container changed becomes the top layer of a new image. Engine thread;
// the layer is made by threads of its own, from the container's files straight into the store.
#pragma once

#include <stop_token>
#include <string>

#include "engine/containers/state.h"

namespace berth::engine {

/// The new image's id.
async::Task<std::string> commit_container(ContainerState& state, ContainerPtr container,
                                          CommitRequest request, std::stop_token stop);

}  // namespace berth::engine
