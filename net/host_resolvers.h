// The host's name servers as they are at this moment: /etc/resolv.conf is read at each call, so a
// change of network or VPN counts from the next question on. Any thread in the host's namespaces.
#pragma once

#include <string_view>
#include <vector>

#include "linux/socket_address.h"

namespace berth::net {

/// At most three, in order; the local one when the file names none, as in the C library.
std::vector<linux_os::SocketAddress> host_resolvers();
/// Pure but for the numbers of interfaces ("fe80::1%eth0").
std::vector<linux_os::SocketAddress> parse_resolvers(std::string_view resolv_conf);

}  // namespace berth::net
