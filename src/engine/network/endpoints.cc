#include "engine/network/endpoints.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/id.h"
#include "engine/model/validate.h"

namespace berth::engine {

namespace {

constexpr const char* kInterfaceOption = "com.docker.network.endpoint.ifname";

using Complaints = std::vector<std::string>;

void check_address(const Network& network, const std::string& text, IpFamily family,
                   Complaints& complaints) {
    if (text.empty()) return;
    const char* kind = family == IpFamily::v4 ? "IPv4" : "IPv6";
    if (!IpAddress::is_valid(text) || IpAddress::parse(text).family != family)
        return complaints.push_back(fmt::format("invalid {} address: {}", kind, text));
    if (!network.has_chosen_subnet(family))
        return complaints.push_back(
            "user specified IP address is supported only when connecting to networks with user "
            "configured subnets");
    const auto& pool = family == IpFamily::v4 ? network.pool : network.pool_v6;
    if (!pool || !pool->subnet().contains(IpAddress::parse(text)))
        complaints.push_back(
            fmt::format("no configured subnet or ip-range contain the IP address {}", text));
}

void check_interface_name(const model::EndpointConfig& config) {
    const auto named = config.driver_options.find(kInterfaceOption);
    if (named == config.driver_options.end()) return;
    const std::string& name = named->second;
    if (name.empty() || name.size() > 15 || name == "." || name == ".." || name == "lo" ||
        name.find_first_of("/: \t\n") != std::string::npos)
        throw Error(ErrorKind::invalid, "invalid interface name: {}", name);
}

std::string allocate(net::AddressPool& pool, const std::string& asked) {
    if (asked.empty()) return pool.allocate().str();
    const IpAddress address = IpAddress::parse(asked);
    pool.reserve(address);
    return address.str();
}

std::string mac_for(const model::ContainerRecord& record, const Network& network,
                    const model::Endpoint& endpoint) {
    if (!endpoint.config.mac_address.empty()) return endpoint.config.mac_address;
    const std::string& mode = record.host_config.network_mode;
    const bool first = mode == network.name || mode == network.id;
    if (first && !record.config.mac_address.empty()) return record.config.mac_address;
    return net::random_mac();
}

/// Sorts before what has less claim to the default route.
auto claim(const std::string& name, const model::Endpoint& e) {
    const bool v4 = !e.gateway.empty();
    const bool v6 = !e.gateway_v6.empty();
    return std::tuple(-e.config.gateway_priority, !(v4 || v6), !(v4 && v6), name);
}

const model::Endpoint* leading(const model::ContainerRecord& record,
                               std::string model::Endpoint::*gateway,
                               const model::Endpoint* leaving) {
    const model::Endpoint* best = nullptr;
    const std::string* best_name = nullptr;
    for (const auto& [name, endpoint] : record.endpoints) {
        if ((endpoint.*gateway).empty() || &endpoint == leaving) continue;
        if (best != nullptr && claim(*best_name, *best) < claim(name, endpoint)) continue;
        best = &endpoint;
        best_name = &name;
    }
    return best;
}

/// Where a published port leads; false when there is no way in.
bool set_target(net::PortBinding& binding, const Gateways& gateways) {
    if (gateways.v4 != nullptr) binding.container_ip = gateways.v4->ip_address;
    if (gateways.v6 != nullptr) binding.container_ip_v6 = gateways.v6->ipv6_address;
    // A container with one family is reached by it from both.
    if (binding.container_ip.empty()) std::swap(binding.container_ip, binding.container_ip_v6);
    return !binding.container_ip.empty();
}

net::PortBinding binding_of(const std::string& port, const model::PortBinding& asked) {
    const model::PortSpec spec = model::port_spec_from(port);
    net::PortBinding binding;
    binding.transport = net::transport_from(spec.protocol);
    binding.host_ip = asked.host_ip;
    std::tie(binding.host_port, binding.host_port_end) = model::host_port_range(asked.host_port);
    binding.container_port = spec.number;
    return binding;
}

}  // namespace

void check_endpoint(const Network& network, const model::EndpointConfig& config) {
    if (network.config.config_only)
        throw Error(ErrorKind::denied, "cannot create endpoint on configuration-only network");
    Complaints complaints;
    const bool addressed = !config.ipv4_address.empty() || !config.ipv6_address.empty();
    if (!network.is_user_defined() && addressed)
        complaints.emplace_back(
            "user specified IP address is supported on user defined networks only");
    if (!network.is_user_defined() && !config.aliases.empty())
        complaints.emplace_back(
            "network-scoped alias is supported only for containers in user defined networks");
    check_address(network, config.ipv4_address, IpFamily::v4, complaints);
    check_address(network, config.ipv6_address, IpFamily::v6, complaints);
    if (!complaints.empty())
        throw Error(ErrorKind::invalid, "invalid endpoint settings:\n{}",
                    model::listed(complaints));
    if (!network.is_user_defined()) return;
    if (!config.mac_address.empty()) net::check_mac(config.mac_address);
    check_interface_name(config);
}

std::vector<NamedEndpoint> ranked(const model::ContainerRecord& record) {
    std::vector<NamedEndpoint> list;
    for (const auto& [name, endpoint] : record.endpoints)
        if (!endpoint.ip_address.empty() || !endpoint.ipv6_address.empty())
            list.push_back({&name, &endpoint});
    std::ranges::sort(list, [](const NamedEndpoint& a, const NamedEndpoint& b) {
        return claim(*a.network, *a.endpoint) < claim(*b.network, *b.endpoint);
    });
    return list;
}

Gateways gateways_of(const model::ContainerRecord& record, const model::Endpoint* leaving) {
    return {leading(record, &model::Endpoint::gateway, leaving),
            leading(record, &model::Endpoint::gateway_v6, leaving)};
}

bool is_plugged(const model::ContainerRecord& record) {
    return std::ranges::any_of(record.endpoints,
                               [](const auto& entry) { return !entry.second.interface.empty(); });
}

void allocate_endpoint(Network& network, const model::ContainerRecord& record,
                       model::Endpoint& endpoint) {
    check_endpoint(network, endpoint.config);
    endpoint.network_id = network.id;
    endpoint.endpoint_id = random_hex_id();
    if (!network.is_bridge()) return;
    if (network.pool) {
        endpoint.ip_address = allocate(*network.pool, endpoint.config.ipv4_address);
        endpoint.prefix = network.pool->subnet().prefix;
        endpoint.gateway = network.gateway;
    }
    if (network.pool_v6) {
        endpoint.ipv6_address = allocate(*network.pool_v6, endpoint.config.ipv6_address);
        endpoint.prefix_v6 = network.pool_v6->subnet().prefix;
        endpoint.gateway_v6 = network.gateway_v6;
    }
    endpoint.mac_address = mac_for(record, network, endpoint);
}

void release_endpoint(Network& network, model::Endpoint& endpoint) {
    if (network.pool && !endpoint.ip_address.empty())
        network.pool->release(IpAddress::parse(endpoint.ip_address));
    if (network.pool_v6 && !endpoint.ipv6_address.empty())
        network.pool_v6->release(IpAddress::parse(endpoint.ipv6_address));
    forget_addresses(endpoint);
}

void adopt_endpoint(Network& network, const model::Endpoint& endpoint) {
    if (network.pool && !endpoint.ip_address.empty())
        network.pool->adopt(IpAddress::parse(endpoint.ip_address));
    if (network.pool_v6 && !endpoint.ipv6_address.empty())
        network.pool_v6->adopt(IpAddress::parse(endpoint.ipv6_address));
}

void name_interface(const Network& network, const model::ContainerRecord& record,
                    model::Endpoint& endpoint) {
    std::set<std::string> taken;
    for (const auto& [name, other] : record.endpoints)
        if (&other != &endpoint) taken.insert(other.interface);
    const auto asked = endpoint.config.driver_options.find(kInterfaceOption);
    if (asked != endpoint.config.driver_options.end()) {
        if (taken.contains(asked->second))
            throw Error(ErrorKind::invalid, "interface name {} is used twice", asked->second);
        endpoint.interface = asked->second;
        return;
    }
    for (int number = 0; endpoint.interface.empty(); ++number) {
        const std::string name =
            fmt::format("{}{}", network.options.interface_prefix, number).substr(0, 15);
        if (!taken.contains(name)) endpoint.interface = name;
    }
}

std::vector<std::string> dns_names(const model::ContainerRecord& record,
                                   const model::Endpoint& endpoint) {
    std::vector<std::string> names;
    const auto add = [&](const std::string& name) {
        if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
    };
    add(record.name);
    for (const std::string& alias : endpoint.config.aliases) add(alias);
    add(record.id.substr(0, 12));
    add(record.config.hostname);
    return names;
}

std::vector<net::PortBinding> wanted_ports(const model::ContainerRecord& record,
                                           const Gateways& gateways,
                                           const std::string& publish_address) {
    std::vector<net::PortBinding> wanted;
    const auto add = [&](const std::string& port, const model::PortBinding& asked) {
        net::PortBinding binding = binding_of(port, asked);
        if (binding.host_ip.empty()) binding.host_ip = publish_address;
        if (set_target(binding, gateways)) wanted.push_back(std::move(binding));
    };
    for (const auto& [port, bindings] : record.host_config.port_bindings) {
        if (bindings.empty()) add(port, {});
        for (const model::PortBinding& binding : bindings) add(port, binding);
    }
    if (!record.host_config.publish_all_ports) return wanted;
    for (const std::string& port : record.config.exposed_ports)
        if (!record.host_config.port_bindings.contains(port)) add(port, {});
    return wanted;
}

std::vector<net::PortBinding> moved_ports(const model::ContainerRecord& record,
                                          const Gateways& gateways) {
    std::vector<net::PortBinding> moved;
    for (const auto& [port, bindings] : record.bound_ports)
        for (const model::PortBinding& bound : bindings) {
            net::PortBinding binding = binding_of(port, bound);
            if (set_target(binding, gateways)) moved.push_back(std::move(binding));
        }
    return moved;
}

model::PortMap bound_ports(const std::vector<net::PortBinding>& bindings) {
    model::PortMap ports;
    for (const net::PortBinding& b : bindings) {
        const std::string port =
            fmt::format("{}/{}", b.container_port, net::to_string(b.transport));
        ports[port].push_back({b.host_ip, std::to_string(b.host_port)});
    }
    return ports;
}

}  // namespace berth::engine
