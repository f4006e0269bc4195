#include "net/host_alias.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>

#include "base/unique_fd.h"
#include "linux/socket_address.h"

namespace berth::net {
namespace {

// The address that the default route would use; nothing is sent.
std::optional<IpAddress> address_on_route(IpFamily family) {
    const linux_os::SocketAddress outside{
        IpAddress::parse(family == IpFamily::v4 ? "192.0.2.1" : "2001:db8::1"), 9};
    linux_os::SocketAddress own;
    socklen_t length = linux_os::SocketAddress::capacity();
    const UniqueFd probe{::socket(outside.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!probe || ::connect(probe.get(), outside.get(), outside.length()) < 0 ||
        ::getsockname(probe.get(), own.get(), &length) < 0)
        return std::nullopt;
    return own.address();
}

std::optional<IpAddress> address_of_some_card(IpFamily family) {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) < 0) return std::nullopt;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
    const int wanted = family == IpFamily::v4 ? AF_INET : AF_INET6;
    for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
        if (!entry->ifa_addr || entry->ifa_addr->sa_family != wanted ||
            (entry->ifa_flags & IFF_LOOPBACK))
            continue;
        linux_os::SocketAddress address;
        std::memcpy(address.get(), entry->ifa_addr,
                    wanted == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
        if (Subnet::parse("fe80::/10").contains(address.address())) continue;
        return address.address();
    }
    return std::nullopt;
}

}  // namespace

std::optional<IpAddress> beyond_alias(const IpAddress& destination, HostServices services) {
    static const IpAddress alias4 = IpAddress::parse(kHostAlias4);
    static const IpAddress alias6 = IpAddress::parse(kHostAlias6);
    if (destination != alias4 && destination != alias6) return destination;
    if (services == HostServices::loopback)
        return IpAddress::parse(destination.family == IpFamily::v4 ? "127.0.0.1" : "::1");
    if (const auto address = address_on_route(destination.family)) return address;
    return address_of_some_card(destination.family);
}

}  // namespace berth::net
