// Whose address a container sees as its client's. By default the client's own: the socket towards
// the container is bound to that foreign address (IP_TRANSPARENT), and a rule in the container
// network namespace brings the answers back to it. Where the container's answer could not come
// back that way, it sees the network's gateway, as with dockerd. Relay thread only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "base/unique_fd.h"
#include "linux/socket_address.h"
#include "net/protocol.h"

namespace berth::net {

/// Packets for sockets that are bound to foreign addresses; also the number of the routing table.
constexpr std::uint32_t kTransparentMark = 0x62;
/// The nftables table that marks them; pure text.
std::string transparent_rules();

class ClientSource final {
  public:
    /// The networks in the container network namespace, and whether rules and routes are in place.
    void set_networks(std::span<const NetworkSpec> networks);
    void set_transparent(IpFamily family) { (family == IpFamily::v4 ? v4_ : v6_) = true; }

    bool keeps(const IpAddress& client, const IpAddress& container) const;
    /// A non-blocking socket, connected or connecting to `target`, that keeps `client` if it can.
    /// Empty when the container cannot be reached, or without descriptors.
    UniqueFd connect(Transport transport, const linux_os::SocketAddress& client,
                     const linux_os::SocketAddress& target) const;

  private:
    bool v4_ = false;
    bool v6_ = false;
    std::vector<Subnet> inside_;      // where answers would not leave the bridge
    std::vector<Subnet> answerable_;  // whose containers have a way out
};

}  // namespace berth::net
