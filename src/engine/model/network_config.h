// A network as a client asks for it (POST /networks/create) and as inspect shows it again: what was
// sent stays as it was sent, since compose makes a network anew when one option differs. Pure
// values and checks; no IO, any thread. Errors carry Docker's texts.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/container_config.h"

namespace berth::engine::model {

/// One element of IPAM.Config.
struct IpamSubnet final {
    std::string subnet, ip_range, gateway;
    std::map<std::string, std::string> auxiliary;  // name -> address that no container gets
    bool operator==(const IpamSubnet&) const = default;
};

struct NetworkConfig final {
    std::string name;
    std::string driver = "bridge";
    std::string scope = "local";
    bool internal = false, attachable = false, ingress = false;
    bool ipv4 = true, ipv6 = false;
    bool config_only = false;
    std::string config_from;  // a network whose configuration this one takes
    std::string ipam_driver = "default";
    std::optional<std::map<std::string, std::string>> ipam_options;
    std::vector<IpamSubnet> ipam;
    std::map<std::string, std::string> options;
    Labels labels;
    bool operator==(const NetworkConfig&) const = default;
};

/// Reads the body of a create in any key case. Throws Error{invalid} naming the member.
NetworkConfig network_config_from(const nlohmann::json& body);
/// With the API's keys, as inspect shows them; network_config_from reads it back.
nlohmann::json to_json(const NetworkConfig& config);

/// What the driver options of a bridge mean.
struct BridgeOptions final {
    std::string bridge;           // name of the link; empty: chosen
    std::string publish_address;  // host_binding_ipv4: of ports without an address
    std::string interface_prefix = "eth";
    bool icc = true;
    bool masquerade = true;
    bool gateway_v4 = true;  // inhibit_ipv4 and gateway_mode isolated: the bridge has no address
    bool gateway_v6 = true;
    int mtu = 0;  // 0: the default
    bool operator==(const BridgeOptions&) const = default;
};

/// Unknown options are kept and mean nothing, as with Docker. Throws Error{invalid} for values that
/// are none, Error{unsupported} for gateway modes that need the host's network.
BridgeOptions bridge_options_from(const std::map<std::string, std::string>& options);

/// One as it is, several as a list.
std::string listed(const std::vector<std::string>& complaints);

/// Everything that can be refused without knowing other networks.
void validate(const NetworkConfig& config);

bool is_predefined_network(const std::string& name);

}  // namespace berth::engine::model
