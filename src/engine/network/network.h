// One network as the engine keeps it, and how it is made out of what a client asked for. Pure
// values; no IO, any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/model/network_config.h"
#include "engine/settings.h"
#include "net/ipam.h"
#include "net/protocol.h"

namespace berth::engine {

struct Network final {
    std::string id;
    std::string name;
    std::string driver;  // bridge, host, null
    Timestamp created;
    model::NetworkConfig config;
    model::BridgeOptions options;
    std::string bridge;                             // name of the link
    std::optional<net::AddressPool> pool, pool_v6;  // of bridges
    std::string gateway, gateway_v6;                // of its containers; empty: no way out

    bool is_bridge() const { return !bridge.empty(); }
    bool is_user_defined() const { return !model::is_predefined_network(name); }
    /// Did the user choose the subnet of that family? Only then may a container choose its address.
    bool has_chosen_subnet(IpFamily family) const;
};

/// What new subnets must keep off, and where they come from.
struct AddressPlan final {
    std::vector<Subnet> used;              // of networks
    std::vector<Subnet> host;              // of the host
    std::vector<net::PoolSource> sources;  // both families
};

std::vector<net::PoolSource> pool_sources(const Settings& settings, const std::string& engine_id);
/// Throws what IPAM refuses: Error{denied} for an overlap, Error{unavailable} without a free pool.
Network make_network(std::string id, Timestamp created, model::NetworkConfig config,
                     const AddressPlan& plan);
/// docker0. `known_subnet` is the one of earlier starts; a configured one comes before it.
Network make_default_bridge(std::string id, Timestamp created, const Settings& settings,
                            const std::string& known_subnet, const AddressPlan& plan);
/// host and none.
Network make_linkless(std::string id, Timestamp created, const std::string& name);

/// The form in networks.json and back. Throws Error{invalid}.
nlohmann::json to_record(const Network& network);
Network network_from_record(const nlohmann::json& record);

net::NetworkSpec spec_of(const Network& network);

}  // namespace berth::engine
