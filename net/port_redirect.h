// One small nftables table, loaded without libnftables: it is needed for each container on a
// user-defined network, and a program for it would cost as much as half a container start.
#pragma once

#include <cstdint>
#include <string>

#include "base/ip_address.h"

namespace berth::net {

/// What leaves for `port` of an IPv4 address of this machine goes to other ports of it.
struct PortRedirect final {
    std::string table;  // of family ip, its own; replaced when it is there
    IpAddress address;
    std::uint16_t port = 0;
    std::uint16_t udp_port = 0, tcp_port = 0;  // where it goes
};

/// In the calling thread's network namespace, all or nothing. Throws Error with the kernel's errno.
void load_redirect(const PortRedirect& redirect);

}  // namespace berth::net
