// Networks of one container: docker network connect and disconnect, running or not. Engine thread
// only.
#pragma once

#include <string>

#include "engine/containers/state.h"

namespace berth::engine {

/// Throws Error{denied} for a network the container is on already, Error{invalid} for combinations
/// that cannot be.
async::Task<void> connect_container(ContainerState& state, ContainerPtr container,
                                    std::string network, model::EndpointConfig config);
async::Task<void> disconnect_container(ContainerState& state, ContainerPtr container,
                                       std::string network);
/// After a start: those that link to the container by /etc/hosts learn its new address.
void update_linking_containers(ContainerState& state, const Container& container);
/// DNS learns a new name of a container.
async::Task<void> rename_in_networks(ContainerState& state, ContainerPtr container);

}  // namespace berth::engine
