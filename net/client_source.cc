#include "net/client_source.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "net/container_side.h"
#include "net/splice_pump.h"

namespace berth::net {
namespace {

// Addresses that mean something else, or nothing, in another namespace.
const Subnet kLocalOnly[] = {Subnet::parse("0.0.0.0/8"),      Subnet::parse("127.0.0.0/8"),
                             Subnet::parse("169.254.0.0/16"), Subnet::parse("224.0.0.0/3"),
                             Subnet::parse("::/127"),         Subnet::parse("::ffff:0:0/96"),
                             Subnet::parse("fe80::/10"),      Subnet::parse("ff00::/8")};
// libslirp's networks (container_side.cc).
const Subnet kUplink[] = {Subnet::parse("10.0.2.0/24"), Subnet::parse("fd00::/64")};

bool in_any(std::span<const Subnet> subnets, const IpAddress& address) {
    return std::ranges::any_of(subnets,
                               [&](const Subnet& subnet) { return subnet.contains(address); });
}

UniqueFd make_socket(Transport transport, int family) {
    const int type = transport == Transport::udp ? SOCK_DGRAM : SOCK_STREAM;
    return UniqueFd{::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

bool connect_socket(BorrowedFd socket, const linux_os::SocketAddress& target) {
    return ::connect(socket.get(), target.get(), target.length()) == 0 || errno == EINPROGRESS;
}

bool bind_to_client(BorrowedFd socket, const linux_os::SocketAddress& client) {
    const int on = 1;
    // A client may use one port for several connections, each to another container.
    set_socket_option(socket, SOL_SOCKET, SO_REUSEADDR, on);
    const bool v4 = client.family() == AF_INET;
    return ::setsockopt(socket.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6,
                        v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof on) == 0 &&
           ::bind(socket.get(), client.get(), client.length()) == 0;
}

}  // namespace

std::string transparent_rules() {
    // A connection request of a container to that address and port is never an answer; requests
    // are left to the redirection of outgoing connections. Nothing from the tap is one, so it is
    // spared the look-up. Protocols by number: their names need /etc/protocols, which a small
    // Debian lacks.
    return fmt::format(
        "add table inet berth_ports\n"
        "delete table inet berth_ports\n"
        "table inet berth_ports {{\n"
        "  chain prerouting {{\n"
        "    type filter hook prerouting priority -155; policy accept;\n"
        "    iifname \"{}\" accept\n"
        "    tcp flags & (fin|syn|rst|ack) == syn accept\n"
        "    meta l4proto {{ 1, 6, 17, 58 }} socket transparent 1 meta mark set {}\n"
        "  }}\n"
        "}}\n",
        kTapName, kTransparentMark);
}

void ClientSource::set_networks(std::span<const NetworkSpec> networks) {
    inside_.assign(std::begin(kUplink), std::end(kUplink));
    answerable_.clear();
    for (const NetworkSpec& network : networks) {
        const auto add = [&](const std::string& subnet, const std::string& gateway) {
            if (subnet.empty()) return;
            inside_.push_back(Subnet::parse(subnet));
            if (!gateway.empty() && !network.internal) answerable_.push_back(Subnet::parse(subnet));
        };
        add(network.subnet, network.gateway);
        add(network.subnet_v6, network.gateway_v6);
    }
}

bool ClientSource::keeps(const IpAddress& client, const IpAddress& container) const {
    return client.family == container.family && (client.family == IpFamily::v4 ? v4_ : v6_) &&
           !in_any(kLocalOnly, client) && !in_any(inside_, client) &&
           in_any(answerable_, container);
}

UniqueFd ClientSource::connect(Transport transport, const linux_os::SocketAddress& client,
                               const linux_os::SocketAddress& target) const {
    if (keeps(client.address(), target.address())) {
        UniqueFd socket = make_socket(transport, target.family());
        // A connection between the same two ends may still be dying: then as the gateway.
        if (socket && bind_to_client(socket, client) && connect_socket(socket, target))
            return socket;
    }
    UniqueFd socket = make_socket(transport, target.family());
    if (socket && !connect_socket(socket, target)) return {};
    return socket;
}

}  // namespace berth::net
