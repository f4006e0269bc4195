// Which host ports berth has given out, pure: conflicts as Docker reports them, and the order in
// which ephemeral ports are tried. The sockets themselves are port_sockets.h. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "net/protocol.h"

namespace berth::net {

/// A port of the host on one address.
struct HostPort final {
    Transport transport = Transport::tcp;
    IpAddress address;
    std::uint16_t port = 0;
    bool operator==(const HostPort&) const = default;
};

struct PortRange final {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
};

/// The text of /proc/sys/net/ipv4/ip_local_port_range; 49153-65535 when it is malformed.
PortRange parse_port_range(std::string_view text);

class PortTable final {
  public:
    explicit PortTable(PortRange ephemeral) : ephemeral_(ephemeral), next_(ephemeral.first) {}

    bool is_taken(const HostPort& port) const;
    /// Throws Error{internal} "Bind for A:P failed: port is already allocated", which compose and
    /// testcontainers match.
    void check_free(const HostPort& port) const;
    void take(const HostPort& port) { taken_.push_back(port); }
    void release(const HostPort& port) { std::erase(taken_, port); }

    /// The ports to try for a binding, in order: the one it names, its range, or all ephemeral
    /// ones, beginning behind the last that was given out.
    std::vector<std::uint16_t> candidates(const PortBinding& binding) const;
    /// Ephemeral search goes on behind `port`.
    void advance_past(std::uint16_t port);

  private:
    PortRange ephemeral_;
    std::uint16_t next_;
    std::vector<HostPort> taken_;
};

/// The host addresses a binding asks for: both wildcards for an empty one.
std::vector<IpAddress> host_addresses(const PortBinding& binding);
/// "0.0.0.0:80", "[::]:80".
std::string host_text(const IpAddress& address, std::uint16_t port);
/// "0.0.0.0:80:172.17.0.2:80/tcp", as Docker names a binding in errors.
std::string binding_text(const IpAddress& address, std::uint16_t port, const PortBinding& binding);

}  // namespace berth::net
