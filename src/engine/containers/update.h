// `docker update`: limits of a container that may be running, and its restart policy.
#pragma once

#include "engine/containers/state.h"
#include "engine/model/resources.h"

namespace berth::engine {

/// All or nothing: when one limit cannot be set, the others get back what they had and the record
/// stays. Returns warnings. Throws Error with Docker's texts.
async::Task<std::vector<std::string>> update_container(ContainerState& state,
                                                       ContainerPtr container,
                                                       model::UpdateRequest request);

}  // namespace berth::engine
