// Making a container: merge with the image, check, reserve the name, volumes, root file system,
// record. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

async::Task<ContainerCreated> create_container(ContainerState& state, model::CreateRequest request,
                                               CreateOptions options);

}  // namespace berth::engine
