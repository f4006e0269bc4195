// Containers as JSON: inspect and the elements of a list. Engine thread only.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/containers/state.h"

namespace berth::engine {

nlohmann::json inspect_json(const ContainerState& state, const Container& container);
nlohmann::json list_json(const ContainerState& state, const Container& container, Timestamp now);
/// The containers that a list request selects, newest first. Throws Error{invalid} for bad filters.
std::vector<ContainerPtr> select_containers(const ContainerState& state,
                                            const ListRequest& request);

}  // namespace berth::engine
