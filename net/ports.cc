#include "net/ports.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace berth::net {
namespace {

constexpr PortRange kFallbackRange{49153, 65535};

}  // namespace

PortRange parse_port_range(std::string_view text) {
    PortRange range;
    const char* end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, range.first);
    if (first.ec != std::errc{}) return kFallbackRange;
    const char* second = first.ptr;
    while (second < end && (*second == ' ' || *second == '\t')) ++second;
    if (std::from_chars(second, end, range.last).ec != std::errc{}) return kFallbackRange;
    return range.first == 0 || range.last < range.first ? kFallbackRange : range;
}

bool PortTable::is_taken(const HostPort& port) const {
    return std::ranges::any_of(taken_, [&](const HostPort& other) {
        return other.transport == port.transport && other.port == port.port &&
               other.address.family == port.address.family &&
               (other.address == port.address || other.address.is_any() || port.address.is_any());
    });
}

void PortTable::check_free(const HostPort& port) const {
    if (is_taken(port))
        throw Error(ErrorKind::internal, "Bind for {} failed: port is already allocated",
                    host_text(port.address, port.port));
}

std::vector<std::uint16_t> PortTable::candidates(const PortBinding& binding) const {
    std::vector<std::uint16_t> ports;
    if (binding.host_port != 0) {
        const int last = std::max(binding.host_port, binding.host_port_end);
        for (int port = binding.host_port; port <= last; ++port)
            ports.push_back(static_cast<std::uint16_t>(port));
        return ports;
    }
    for (int port = next_; port <= ephemeral_.last; ++port)
        ports.push_back(static_cast<std::uint16_t>(port));
    for (int port = ephemeral_.first; port < next_; ++port)
        ports.push_back(static_cast<std::uint16_t>(port));
    return ports;
}

void PortTable::advance_past(std::uint16_t port) {
    next_ = port >= ephemeral_.last || port < ephemeral_.first
                ? ephemeral_.first
                : static_cast<std::uint16_t>(port + 1);
}

std::vector<IpAddress> host_addresses(const PortBinding& binding) {
    if (!binding.host_ip.empty()) return {IpAddress::parse(binding.host_ip)};
    return {{IpFamily::v4, 0}, {IpFamily::v6, 0}};
}

std::string host_text(const IpAddress& address, std::uint16_t port) {
    return address.family == IpFamily::v4 ? fmt::format("{}:{}", address.str(), port)
                                          : fmt::format("[{}]:{}", address.str(), port);
}

std::string binding_text(const IpAddress& address, std::uint16_t port, const PortBinding& binding) {
    return fmt::format("{}:{}:{}/{}", host_text(address, port), binding.container_ip,
                       binding.container_port, to_string(binding.transport));
}

}  // namespace berth::net
