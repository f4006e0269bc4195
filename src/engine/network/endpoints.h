// The interfaces of one container, as values: which network is asked for what, in which order
// interfaces are made, and which of them leads outside. Pure; no IO, any thread. The order is
// Docker's for default gateways: gateway priority, networks with a way out, both families, name.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/model/record.h"
#include "engine/network/network.h"
#include "net/protocol.h"

namespace berth::engine {

/// Refuses (Error{invalid}, Docker's texts) what a client asks for on a network that cannot do it.
void check_endpoint(const Network& network, const model::EndpointConfig& config);

struct NamedEndpoint final {
    const std::string* network = nullptr;
    const model::Endpoint* endpoint = nullptr;
};
/// The endpoints that have an address, the one for eth0 and the default route first.
std::vector<NamedEndpoint> ranked(const model::ContainerRecord& record);

/// The endpoints that the default routes go through; null: none.
struct Gateways final {
    const model::Endpoint* v4 = nullptr;
    const model::Endpoint* v6 = nullptr;
    bool operator==(const Gateways&) const = default;
};
/// As they are without the endpoint `leaving`, unless that is null.
Gateways gateways_of(const model::ContainerRecord& record,
                     const model::Endpoint* leaving = nullptr);
/// Has it addresses? Not any more once it ended.
bool is_plugged(const model::ContainerRecord& record);

/// Takes addresses and a MAC from the network. On a failure the endpoint has those that it got.
void allocate_endpoint(Network& network, const model::ContainerRecord& record,
                       model::Endpoint& endpoint);
void release_endpoint(Network& network, model::Endpoint& endpoint);
/// As allocate_endpoint, for addresses that the record says are in use.
void adopt_endpoint(Network& network, const model::Endpoint& endpoint);
/// Gives the interface a name that none of the container's others has.
void name_interface(const Network& network, const model::ContainerRecord& record,
                    model::Endpoint& endpoint);

/// What DNS calls the container on a user-defined network: name, aliases, short id, hostname.
std::vector<std::string> dns_names(const model::ContainerRecord& record,
                                   const model::Endpoint& endpoint);

/// Published ports as the network process takes them, for the endpoint that leads outside; none
/// when no endpoint does. `publish_address` is that of ports without one.
std::vector<net::PortBinding> wanted_ports(const model::ContainerRecord& record,
                                           const Gateways& gateways,
                                           const std::string& publish_address);
/// The same ports that are bound already, for a container whose way out has moved.
std::vector<net::PortBinding> moved_ports(const model::ContainerRecord& record,
                                          const Gateways& gateways);
model::PortMap bound_ports(const std::vector<net::PortBinding>& bindings);

}  // namespace berth::engine
