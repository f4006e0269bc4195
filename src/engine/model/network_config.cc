#include "engine/model/network_config.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/ip_address.h"
#include "base/json.h"
#include "base/number.h"
#include "engine/model/swarm.h"

namespace berth::engine::model {

using nlohmann::json;

namespace {

constexpr std::string_view kBridgePrefix = "com.docker.network.bridge.";
constexpr std::size_t kMaxInterfaceName = 15;
constexpr int kMinMtu = 68;  // RFC 791
constexpr int kMaxMtu = 65535;

IpamSubnet subnet_from(const JsonReader& r) {
    return {.subnet = r.string("Subnet"),
            .ip_range = r.string("IPRange"),
            .gateway = r.string("Gateway"),
            .auxiliary =
                r.string_map(r.has("AuxiliaryAddresses") ? "AuxiliaryAddresses" : "AuxAddress")};
}

json subnet_json(const IpamSubnet& s) {
    json value = json::object();
    if (!s.subnet.empty()) value["Subnet"] = s.subnet;
    if (!s.ip_range.empty()) value["IPRange"] = s.ip_range;
    if (!s.gateway.empty()) value["Gateway"] = s.gateway;
    if (!s.auxiliary.empty()) value["AuxiliaryAddresses"] = s.auxiliary;
    return value;
}

void check_name(const std::string& name) {
    if (name.find_first_not_of(" \t\n\r") == std::string::npos)
        throw Error(ErrorKind::invalid, "invalid name: name is empty");
    if (name.find('/') != std::string::npos || name.size() > 255)
        throw Error(ErrorKind::invalid, "invalid network name: {}", name);
}

void check_driver(const NetworkConfig& config) {
    const std::string& driver = config.driver;
    if (driver == "bridge") return;
    if (driver == "host" || driver == "null")
        throw Error(ErrorKind::denied, "only one instance of \"{}\" network is allowed", driver);
    if (driver == "overlay") throw Error(ErrorKind::denied, "{}", kNoSwarmManager);
    if (driver == "macvlan" || driver == "ipvlan")
        throw Error(ErrorKind::not_found,
                    "plugin \"{}\" not found: a rootless engine has no rights on the host's "
                    "network interfaces; use the driver bridge",
                    driver);
    throw Error(ErrorKind::not_found, "plugin \"{}\" not found", driver);
}

void check_swarm(const NetworkConfig& config) {
    if (config.ingress)
        throw Error(ErrorKind::denied, "Ingress network can only be global scope network");
    if (config.scope != "local")
        throw Error(ErrorKind::denied, "cannot create a {} scoped network when swarm is not active",
                    config.scope);
}

using Complaints = std::vector<std::string>;

const char* family_name(IpFamily family) { return family == IpFamily::v4 ? "IPv4" : "IPv6"; }

std::optional<Subnet> parse_block(const std::string& text) {
    try {
        return Subnet::parse(text);
    } catch (const Error&) {
        return std::nullopt;
    }
}

void check_range(const std::string& text, const Subnet& subnet, Complaints& complaints) {
    if (text.empty()) return;
    const auto say = [&](const std::string& words) {
        complaints.push_back(fmt::format("invalid ip-range {}: {}", text, words));
    };
    const auto range = parse_block(text);
    if (!range) return say("invalid CIDR block notation");
    if (range->address.family != subnet.address.family)
        return say(fmt::format("parent subnet is an {} block", family_name(subnet.address.family)));
    if (range->prefix < subnet.prefix)
        return say(fmt::format("CIDR block is bigger than its parent subnet {}", subnet.str()));
    if (*range != range->network()) say(fmt::format("it should be {}", range->network().str()));
    if (!subnet.overlaps(*range))
        say(fmt::format("parent subnet {} doesn't contain ip-range", subnet.str()));
}

/// What is wrong with an address of the subnet; empty when nothing is.
std::string fault_of(const std::string& text, const Subnet& subnet) {
    if (text.empty()) return "";
    if (!IpAddress::is_valid(text)) return "invalid address";
    const IpAddress address = IpAddress::parse(text);
    if (address.family != subnet.address.family)
        return fmt::format("parent subnet is an {} block", family_name(subnet.address.family));
    if (!subnet.contains(address))
        return fmt::format("parent subnet {} doesn't contain this address", subnet.str());
    return "";
}

void check_subnet(const IpamSubnet& ipam, const NetworkConfig& config, Complaints& complaints) {
    const auto subnet = parse_block(ipam.subnet);
    if (!subnet) {
        complaints.push_back(
            fmt::format("invalid subnet {}: invalid CIDR block notation", ipam.subnet));
        return;
    }
    if (!config.ipv6 && subnet->address.family == IpFamily::v6) return;
    if (*subnet != subnet->network())
        complaints.push_back(fmt::format("invalid subnet {}: it should be {}", subnet->str(),
                                         subnet->network().str()));
    check_range(ipam.ip_range, *subnet, complaints);
    if (const std::string fault = fault_of(ipam.gateway, *subnet); !fault.empty())
        complaints.push_back(fmt::format("invalid gateway {}: {}", ipam.gateway, fault));
    for (const auto& [name, address] : ipam.auxiliary)
        if (const std::string fault = fault_of(address, *subnet); !fault.empty())
            complaints.push_back(fmt::format("invalid auxiliary address {}: {}", name, fault));
}

void check_families(const NetworkConfig& config) {
    int v4 = 0;
    int v6 = 0;
    for (const IpamSubnet& ipam : config.ipam)
        (Subnet::parse(ipam.subnet).address.family == IpFamily::v4 ? v4 : v6)++;
    if (v4 > 1 || v6 > 1)
        throw Error(ErrorKind::denied, "bridge driver doesn't support multiple subnets");
    if (!config.ipv4 && !config.ipv6)
        throw Error(ErrorKind::invalid, "IPv4 or IPv6 must be enabled");
}

void check_ipam(const NetworkConfig& config) {
    if (config.ipam_driver != "default")
        throw Error(ErrorKind::not_found, "plugin \"{}\" not found", config.ipam_driver);
    Complaints complaints;
    for (const IpamSubnet& ipam : config.ipam) check_subnet(ipam, config, complaints);
    if (complaints.empty()) return check_families(config);
    throw Error(ErrorKind::invalid, "invalid network config:\n{}", listed(complaints));
}

bool truth(const std::string& key, const std::string& text) {
    for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
        if (text == yes) return true;
    for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
        if (text == no) return false;
    throw Error(ErrorKind::invalid, "invalid value for {}: {} is neither true nor false", key,
                text);
}

int mtu_from(const std::string& key, const std::string& text) {
    const auto mtu = whole_number<int>(text);
    if (!mtu || *mtu < kMinMtu || *mtu > kMaxMtu)
        throw Error(ErrorKind::invalid, "invalid value for {}: {} is no MTU", key, text);
    return *mtu;
}

/// A part of an interface's name.
std::string link_name(const std::string& key, const std::string& text) {
    if (text.empty() || text.size() > kMaxInterfaceName || text == "." || text == ".." ||
        text.find_first_of("/: \t\n\"") != std::string::npos)
        throw Error(ErrorKind::invalid, "invalid value for {}: {} is no name of an interface", key,
                    text);
    return text;
}

/// Links of our own in the place where bridges are made.
bool is_reserved(const std::string& name) {
    return name == "lo" || name.starts_with("tap") || name.starts_with("gate") ||
           name.starts_with("veth");
}

/// Whether a gateway is there in that mode.
bool gateway_mode(const std::string& key, const std::string& mode) {
    if (mode == "nat" || mode == "nat-unprotected") return true;
    if (mode == "isolated") return false;
    if (mode == "routed")
        throw Error(ErrorKind::unsupported,
                    "{}={}: a rootless engine cannot route the host's network to containers; use "
                    "nat and published ports",
                    key, mode);
    throw Error(ErrorKind::invalid, "unknown gateway mode {}", mode);
}

}  // namespace

std::string listed(const std::vector<std::string>& complaints) {
    if (complaints.size() == 1) return complaints.front();
    std::string text;
    for (const std::string& complaint : complaints)
        text += (text.empty() ? "* " : "\n* ") + complaint;
    return text;
}

bool is_predefined_network(const std::string& name) {
    return name == "bridge" || name == "host" || name == "none" || name == "default";
}

NetworkConfig network_config_from(const json& body) {
    const JsonReader r(body, "", KeyCase::any);
    NetworkConfig c;
    c.name = r.string("Name");
    c.driver = r.string("Driver");
    if (c.driver.empty() || c.driver == "default") c.driver = "bridge";
    if (!r.string("Scope").empty()) c.scope = r.string("Scope");
    c.internal = r.boolean("Internal", false);
    c.attachable = r.boolean("Attachable", false);
    c.ingress = r.boolean("Ingress", false);
    c.ipv4 = r.boolean("EnableIPv4", true);
    c.ipv6 = r.boolean("EnableIPv6", false);
    c.config_only = r.boolean("ConfigOnly", false);
    if (r.has("ConfigFrom")) c.config_from = r.object("ConfigFrom").string("Network");
    const JsonReader ipam = r.object("IPAM");
    if (!ipam.string("Driver").empty()) c.ipam_driver = ipam.string("Driver");
    if (ipam.has("Options")) c.ipam_options = ipam.string_map("Options");
    for (const JsonReader& subnet : ipam.objects("Config")) c.ipam.push_back(subnet_from(subnet));
    c.options = r.string_map("Options");
    c.labels = r.string_map("Labels");
    return c;
}

json to_json(const NetworkConfig& c) {
    json subnets = json::array();
    for (const IpamSubnet& subnet : c.ipam) subnets.push_back(subnet_json(subnet));
    return {{"Name", c.name},
            {"Driver", c.driver},
            {"Scope", c.scope},
            {"Internal", c.internal},
            {"Attachable", c.attachable},
            {"Ingress", c.ingress},
            {"EnableIPv4", c.ipv4},
            {"EnableIPv6", c.ipv6},
            {"ConfigOnly", c.config_only},
            {"ConfigFrom", {{"Network", c.config_from}}},
            {"IPAM",
             {{"Driver", c.ipam_driver},
              {"Options", c.ipam_options ? json(*c.ipam_options) : json()},
              {"Config", std::move(subnets)}}},
            {"Options", c.options},
            {"Labels", c.labels}};
}

BridgeOptions bridge_options_from(const std::map<std::string, std::string>& options) {
    BridgeOptions read;
    for (const auto& [key, value] : options) {
        if (key == "com.docker.network.driver.mtu") read.mtu = mtu_from(key, value);
        if (key == "com.docker.network.container_iface_prefix" ||
            key == "com.docker.network.container_interface_prefix")
            read.interface_prefix = link_name(key, value);
        if (!key.starts_with(kBridgePrefix)) continue;
        const std::string_view name = std::string_view(key).substr(kBridgePrefix.size());
        if (name == "name") read.bridge = link_name(key, value);
        if (name == "name" && is_reserved(value))
            throw Error(ErrorKind::invalid,
                        "invalid value for {}: {} is a name of the engine's own", key, value);
        if (name == "enable_icc") read.icc = truth(key, value);
        if (name == "enable_ip_masquerade") read.masquerade = truth(key, value);
        if (name == "inhibit_ipv4" && truth(key, value)) read.gateway_v4 = false;
        if (name == "gateway_mode_ipv4" && !gateway_mode(key, value)) read.gateway_v4 = false;
        if (name == "gateway_mode_ipv6" && !gateway_mode(key, value)) read.gateway_v6 = false;
        if (name != "host_binding_ipv4") continue;
        if (!IpAddress::is_valid(value))
            throw Error(ErrorKind::invalid, "invalid value for {}: {} is no address", key, value);
        read.publish_address = value;
    }
    return read;
}

void validate(const NetworkConfig& config) {
    check_name(config.name);
    if (is_predefined_network(config.name))
        throw Error(ErrorKind::denied, "operation is not permitted on predefined {} network",
                    config.name);
    check_swarm(config);
    check_driver(config);
    if (config.config_only && !config.config_from.empty())
        throw Error(ErrorKind::denied,
                    "a configuration network cannot depend on another configuration network");
    const bool has_ipam_options = config.ipam_options && !config.ipam_options->empty();
    if (!config.config_from.empty() &&
        (!config.options.empty() || !config.ipam.empty() || has_ipam_options))
        throw Error(ErrorKind::denied,
                    "user specified configurations are not supported if the network depends on a "
                    "configuration network");
    check_ipam(config);
    bridge_options_from(config.options);
    const auto mode = config.options.find("com.docker.network.bridge.gateway_mode_ipv4");
    if (!config.internal && mode != config.options.end() && mode->second == "isolated")
        throw Error(ErrorKind::invalid,
                    "gateway mode 'isolated' can only be used for an internal network");
}

}  // namespace berth::engine::model
