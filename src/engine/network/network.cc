#include "engine/network/network.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace berth::engine {

using nlohmann::json;

namespace {

constexpr const char* kDefaultBridge = "docker0";

IpFamily family_of(const std::string& subnet) { return Subnet::parse(subnet).address.family; }

const model::IpamSubnet* chosen_subnet(const model::NetworkConfig& config, IpFamily family) {
    for (const model::IpamSubnet& ipam : config.ipam)
        if (family_of(ipam.subnet) == family) return &ipam;
    return nullptr;
}

net::AddressPool open_pool(const Subnet& subnet, const model::IpamSubnet* chosen) {
    if (chosen == nullptr) return net::AddressPool(subnet);
    std::optional<Subnet> range;
    std::optional<IpAddress> gateway;
    if (!chosen->ip_range.empty()) range = Subnet::parse(chosen->ip_range);
    if (!chosen->gateway.empty()) gateway = IpAddress::parse(chosen->gateway);
    net::AddressPool pool(subnet, range, gateway);
    for (const auto& [name, address] : chosen->auxiliary) pool.exclude(IpAddress::parse(address));
    return pool;
}

Subnet choose_subnet(const model::IpamSubnet* chosen, IpFamily family, const AddressPlan& plan) {
    if (chosen != nullptr) {
        const Subnet subnet = Subnet::parse(chosen->subnet).network();
        try {
            net::check_no_overlap(subnet, plan.used);
        } catch (Error& error) {
            throw error.while_("invalid pool request");
        }
        return subnet;
    }
    std::vector<net::PoolSource> sources;
    std::ranges::copy_if(plan.sources, std::back_inserter(sources),
                         [&](const auto& source) { return source.base.address.family == family; });
    return net::pick_subnet(sources, plan.used, plan.host);
}

/// Where containers send what is not for the network itself.
void set_gateways(Network& network) {
    const bool open = !network.config.internal;
    if (network.pool && open && network.options.gateway_v4)
        network.gateway = network.pool->gateway().str();
    if (network.pool_v6 && open && network.options.gateway_v6)
        network.gateway_v6 = network.pool_v6->gateway().str();
}

Network blank(std::string id, Timestamp created, model::NetworkConfig config) {
    Network network;
    network.id = std::move(id);
    network.name = config.name;
    network.driver = config.driver;
    network.created = created;
    network.options = model::bridge_options_from(config.options);
    network.config = std::move(config);
    if (network.config.config_only) return network;
    network.bridge =
        network.options.bridge.empty() ? "br-" + network.id.substr(0, 12) : network.options.bridge;
    return network;
}

/// Address and prefix of the default bridge that the configuration wants.
std::optional<Subnet> configured_bridge(const Settings& settings) {
    if (!settings.bridge_address.empty()) return Subnet::parse(settings.bridge_address);
    std::vector<net::PoolSource> sources;
    for (const AddressRange& range : settings.address_pools)
        if (family_of(range.base) == IpFamily::v4)
            sources.push_back({Subnet::parse(range.base), range.size});
    std::optional<Subnet> chosen;
    if (!sources.empty()) chosen = net::pick_subnet(sources, {}, {});
    if (settings.fixed_cidr.empty()) return chosen;
    // A fixed-cidr outside of the subnet is the subnet.
    const Subnet fixed = Subnet::parse(settings.fixed_cidr).network();
    const Subnet usual = chosen.value_or(net::default_pools().front().base);
    return usual.contains(fixed.first()) && usual.contains(fixed.last()) ? usual : fixed;
}

net::AddressPool bridge_pool(const Settings& settings, Subnet address) {
    if (address.address == address.first()) ++address.address.value;
    std::optional<Subnet> range;
    if (!settings.fixed_cidr.empty()) range = Subnet::parse(settings.fixed_cidr);
    net::AddressPool pool(address.network(), range, address.address);
    if (settings.default_gateway.empty()) return pool;
    const IpAddress gateway = IpAddress::parse(settings.default_gateway);
    if (!pool.subnet().contains(gateway))
        throw Error(ErrorKind::invalid, "default-gateway {} is not in the bridge's subnet {}",
                    settings.default_gateway, pool.subnet().str());
    pool.exclude(gateway);
    return pool;
}

/// As Docker lists them for docker0.
std::map<std::string, std::string> default_bridge_options(const Settings& settings) {
    const auto text = [](bool value) { return value ? "true" : "false"; };
    const int mtu = settings.mtu > 0 ? settings.mtu : net::kFastMtu;
    return {{"com.docker.network.bridge.default_bridge", "true"},
            {"com.docker.network.bridge.enable_icc", text(settings.icc)},
            {"com.docker.network.bridge.enable_ip_masquerade", text(settings.masquerade)},
            {"com.docker.network.bridge.host_binding_ipv4",
             settings.publish_address.empty() ? "0.0.0.0" : settings.publish_address},
            {"com.docker.network.bridge.name", kDefaultBridge},
            {"com.docker.network.driver.mtu", std::to_string(mtu)}};
}

}  // namespace

bool Network::has_chosen_subnet(IpFamily family) const {
    return is_bridge() && chosen_subnet(config, family) != nullptr;
}

std::vector<net::PoolSource> pool_sources(const Settings& settings, const std::string& engine_id) {
    std::vector<net::PoolSource> sources;
    for (const AddressRange& range : settings.address_pools)
        sources.push_back({Subnet::parse(range.base), range.size});
    if (sources.empty()) sources = net::default_pools();
    sources.push_back(net::unique_local_pool(engine_id));
    return sources;
}

Network make_network(std::string id, Timestamp created, model::NetworkConfig config,
                     const AddressPlan& plan) {
    Network network = blank(std::move(id), created, std::move(config));
    const auto make = [&](IpFamily family) {
        const model::IpamSubnet* chosen = chosen_subnet(network.config, family);
        return open_pool(choose_subnet(chosen, family, plan), chosen);
    };
    if (!network.is_bridge()) return network;
    if (network.config.ipv4) network.pool = make(IpFamily::v4);
    if (network.config.ipv6) network.pool_v6 = make(IpFamily::v6);
    set_gateways(network);
    return network;
}

Network make_default_bridge(std::string id, Timestamp created, const Settings& settings,
                            const std::string& known_subnet, const AddressPlan& plan) {
    model::NetworkConfig config;
    config.name = "bridge";
    config.options = default_bridge_options(settings);
    Network network = blank(std::move(id), created, std::move(config));
    std::optional<Subnet> subnet = configured_bridge(settings);
    if (!subnet && !known_subnet.empty()) subnet = Subnet::parse(known_subnet);
    if (!subnet) subnet = choose_subnet(nullptr, IpFamily::v4, plan);
    network.pool = bridge_pool(settings, *subnet);
    // Shown as 0.0.0.0, but it means both families.
    network.options.publish_address = settings.publish_address;
    network.options.mtu = settings.mtu;
    set_gateways(network);
    if (!settings.default_gateway.empty()) network.gateway = settings.default_gateway;
    return network;
}

Network make_linkless(std::string id, Timestamp created, const std::string& name) {
    Network network;
    network.id = std::move(id);
    network.name = name;
    network.driver = name == "none" ? "null" : name;
    network.created = created;
    network.config.name = name;
    network.config.driver = network.driver;
    return network;
}

json to_record(const Network& network) {
    json record = {{"id", network.id},
                   {"created", network.created.ns},
                   {"config", model::to_json(network.config)}};
    if (network.pool) record["subnet"] = network.pool->subnet().str();
    if (network.pool_v6) record["subnet_v6"] = network.pool_v6->subnet().str();
    return record;
}

Network network_from_record(const json& record) {
    const JsonReader r(record, "networks.json");
    Network network = blank(r.string("id"), Timestamp{r.integer("created")},
                            model::network_config_from(r.object("config").value()));
    const auto open = [&](const char* key, IpFamily family) -> std::optional<net::AddressPool> {
        const std::string subnet = r.string(key);
        if (subnet.empty()) return std::nullopt;
        return open_pool(Subnet::parse(subnet), chosen_subnet(network.config, family));
    };
    network.pool = open("subnet", IpFamily::v4);
    network.pool_v6 = open("subnet_v6", IpFamily::v6);
    set_gateways(network);
    return network;
}

net::NetworkSpec spec_of(const Network& network) {
    net::NetworkSpec spec;
    spec.id = network.id;
    spec.name = network.name;
    spec.bridge = network.bridge;
    if (network.pool) spec.subnet = network.pool->subnet().str();
    if (network.pool && network.options.gateway_v4) spec.gateway = network.pool->gateway().str();
    if (network.pool_v6) spec.subnet_v6 = network.pool_v6->subnet().str();
    if (network.pool_v6 && network.options.gateway_v6)
        spec.gateway_v6 = network.pool_v6->gateway().str();
    spec.mtu = network.options.mtu;
    spec.internal = network.config.internal;
    spec.icc = network.options.icc;
    spec.masquerade = network.options.masquerade;
    return spec;
}

}  // namespace berth::engine
