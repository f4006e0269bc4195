// An IpAddress and port as the kernel's sockaddr, and back.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

#include "base/ip_address.h"

namespace berth::linux_os {

class SocketAddress final {
  public:
    SocketAddress() = default;
    SocketAddress(const IpAddress& address, std::uint16_t port);

    int family() const { return storage_.ss_family; }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage_); }
    socklen_t length() const {
        return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    }
    static constexpr socklen_t capacity() { return sizeof(sockaddr_storage); }
    IpAddress address() const;
    std::uint16_t port() const;

  private:
    sockaddr_storage storage_{};
};

}  // namespace berth::linux_os
