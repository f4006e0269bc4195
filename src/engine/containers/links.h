// The containers that `--link` of a container on the default bridge means. Engine thread only.
#pragma once

#include <vector>

#include "engine/containers/state.h"
#include "engine/model/links.h"

namespace berth::engine {

/// Throws Error{invalid} for a container that does not exist and for networks without links.
void check_links(const ContainerState& state, const model::ContainerRecord& record);
/// Those that run, for a container that runs.
std::vector<model::Link> present_links(const ContainerState& state,
                                       const model::ContainerRecord& record);
/// For a start: throws Error{conflict} when one does not run.
std::vector<model::Link> running_links(const ContainerState& state,
                                       const model::ContainerRecord& record);

}  // namespace berth::engine
