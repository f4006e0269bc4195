#include "net/dns_names.h"

#include <algorithm>
#include "base/text.h"

namespace berth::net {
namespace {

std::optional<IpAddress> address_of(const Attachment& attachment, IpFamily family) {
    const std::string& text = family == IpFamily::v4 ? attachment.address : attachment.address_v6;
    if (text.empty()) return std::nullopt;
    return Subnet::parse(text).address;
}

// "ndots:N" with N above 0, from --dns-option.
bool sets_ndots(const DnsSettings& settings) {
    return std::ranges::any_of(settings.options, [](const std::string& option) {
        return option.starts_with("ndots:") && option != "ndots:0";
    });
}

}  // namespace

void DnsNames::set_networks(std::span<const NetworkSpec> networks) {
    networks_.clear();
    for (const NetworkSpec& network : networks) networks_[network.id] = network;
}

void DnsNames::add(const Attachment& attachment) {
    Endpoint endpoint{attachment, {}, {}};
    for (const std::string& name : attachment.names) endpoint.names.push_back(to_lower(name));
    for (const auto& [alias, name] : attachment.links)
        endpoint.links[to_lower(alias)] = to_lower(name);
    Endpoints& endpoints = containers_[attachment.container];
    const auto known = std::ranges::find_if(endpoints, [&](const Endpoint& other) {
        return other.attachment.network_id == attachment.network_id;
    });
    if (known != endpoints.end())
        *known = std::move(endpoint);
    else
        endpoints.push_back(std::move(endpoint));
}

void DnsNames::remove(const std::string& container, const std::string& network_id) {
    const auto found = containers_.find(container);
    if (found == containers_.end()) return;
    std::erase_if(found->second, [&](const Endpoint& endpoint) {
        return endpoint.attachment.network_id == network_id;
    });
    if (found->second.empty()) containers_.erase(found);
}

DnsNames::Found DnsNames::find(const Endpoint& asking, const std::string& asked,
                               IpFamily family) const {
    const auto link = asking.links.find(asked);
    const std::string& name = link == asking.links.end() ? asked : link->second;
    Found found;
    for (const auto& [container, endpoints] : containers_) {
        for (const Endpoint& other : endpoints) {
            if (other.attachment.network_id != asking.attachment.network_id ||
                std::ranges::find(other.names, name) == other.names.end())
                continue;
            found.known = true;
            if (const auto address = address_of(other.attachment, family))
                found.addresses.push_back(*address);
        }
    }
    return found;
}

DnsNames::Found DnsNames::find_anywhere(const Endpoints& asking, const std::string& name,
                                        IpFamily family) const {
    for (const Endpoint& endpoint : asking)
        if (Found found = find(endpoint, name, family); found.known) return found;
    // "web.backend" is web on the network backend, if the asking container is on it.
    for (const Endpoint& endpoint : asking) {
        const auto network = networks_.find(endpoint.attachment.network_id);
        if (network == networks_.end()) continue;
        const std::string suffix = "." + to_lower(network->second.name);
        if (name.size() <= suffix.size() || !name.ends_with(suffix)) continue;
        const std::string plain = name.substr(0, name.size() - suffix.size());
        if (Found found = find(endpoint, plain, family); found.known) return found;
    }
    return {};
}

std::optional<std::string> DnsNames::name_at(const Endpoints& asking,
                                             const IpAddress& address) const {
    for (const Endpoint& own : asking) {
        for (const auto& [container, endpoints] : containers_) {
            for (const Endpoint& other : endpoints) {
                if (other.attachment.network_id != own.attachment.network_id ||
                    other.attachment.names.empty() ||
                    address_of(other.attachment, address.family) != address)
                    continue;
                const auto network = networks_.find(own.attachment.network_id);
                const std::string& name = other.attachment.names.front();
                return network == networks_.end() ? name : name + "." + network->second.name;
            }
        }
    }
    return std::nullopt;
}

std::optional<DnsAnswer> DnsNames::answer_name(const Endpoints& asking, const DnsQuery& query) {
    const IpFamily family = query.type == dns_type::aaaa ? IpFamily::v6 : IpFamily::v4;
    Found found = find_anywhere(asking, query.name, family);
    const bool wants_address = query.type == dns_type::a || query.type == dns_type::aaaa;
    if (found.known) {
        // Other types of a name that is ours have no data; they are no business of other servers.
        if (!wants_address) return DnsAnswer{};
        if (!found.addresses.empty())
            std::ranges::rotate(found.addresses,
                                found.addresses.begin() +
                                    static_cast<std::ptrdiff_t>(turn_++ % found.addresses.size()));
        return DnsAnswer{.addresses = std::move(found.addresses)};
    }
    const bool is_single = query.name.find('.') == std::string::npos;
    // The client comes back with its search domain appended.
    if (wants_address && is_single && sets_ndots(asking.front().attachment.dns)) return DnsAnswer{};
    return std::nullopt;
}

std::optional<DnsAnswer> DnsNames::answer(const std::string& container, const DnsQuery& query) {
    if (query.problem != DnsCode::no_error) return DnsAnswer{.code = query.problem};
    const auto asking = containers_.find(container);
    if (asking == containers_.end()) return std::nullopt;
    if (query.type != dns_type::ptr) return answer_name(asking->second, query);
    const auto address = reverse_address(query.name);
    if (!address) return std::nullopt;
    auto name = name_at(asking->second, *address);
    if (!name) return std::nullopt;
    return DnsAnswer{.pointer = std::move(*name)};
}

bool DnsNames::may_leave(const std::string& container) const {
    const auto known = containers_.find(container);
    if (known == containers_.end()) return false;
    return std::ranges::any_of(known->second, [&](const Endpoint& endpoint) {
        const auto network = networks_.find(endpoint.attachment.network_id);
        return network != networks_.end() && !network->second.internal;
    });
}

std::vector<IpAddress> DnsNames::servers(const std::string& container) const {
    std::vector<IpAddress> servers;
    const auto known = containers_.find(container);
    if (known == containers_.end()) return servers;
    for (const std::string& text : known->second.front().attachment.dns.servers) {
        // 127.0.0.11 is who asks here: the question would go round for ever.
        if (IpAddress::is_valid(text) && text != kDnsAddress)
            servers.push_back(IpAddress::parse(text));
    }
    return servers;
}

}  // namespace berth::net
