// An IP address and a port as the kernel takes them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

namespace berth::linux_os {

struct InetAddress final {
    sockaddr_storage storage{};
    socklen_t length = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    sa_family_t family() const { return storage.ss_family; }
};

/// `ip` is IPv4 or IPv6 in numbers, without brackets or a zone; anything else gives nothing.
std::optional<InetAddress> parse_inet_address(const std::string& ip, std::uint16_t port);

}  // namespace berth::linux_os
