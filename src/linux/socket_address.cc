#include "linux/socket_address.h"

#include <arpa/inet.h>

namespace berth::linux_os {

SocketAddress::SocketAddress(const IpAddress& address, std::uint16_t port) {
    if (address.family == IpFamily::v4) {
        auto& v4 = reinterpret_cast<sockaddr_in&>(storage_);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        v4.sin_addr.s_addr = htonl(static_cast<std::uint32_t>(address.value));
        return;
    }
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage_);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    for (int i = 0; i < 16; ++i)
        v6.sin6_addr.s6_addr[i] = static_cast<std::uint8_t>(address.value >> (8 * (15 - i)));
}

IpAddress SocketAddress::address() const {
    if (family() == AF_INET)
        return {IpFamily::v4,
                ntohl(reinterpret_cast<const sockaddr_in&>(storage_).sin_addr.s_addr)};
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage_);
    Bits128 value = 0;
    for (const std::uint8_t byte : v6.sin6_addr.s6_addr) value = (value << 8) | byte;
    return {IpFamily::v6, value};
}

std::uint16_t SocketAddress::port() const {
    if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
    return ntohs(reinterpret_cast<const sockaddr_in6&>(storage_).sin6_port);
}

}  // namespace berth::linux_os
