#include "net/congestion.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <string_view>

#include "linux/socket_address.h"

namespace berth::net {

void stop_pacing(BorrowedFd socket) {
    // Loss inside the machine is a full queue, which cubic recovers from sooner; reno is always
    // there.
    for (const std::string_view name : {"cubic", "reno"})
        if (::setsockopt(socket.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(),
                         static_cast<socklen_t>(name.size())) == 0)
            return;
}

void stop_pacing_within_host(BorrowedFd socket) {
    linux_os::SocketAddress own;
    linux_os::SocketAddress peer;
    socklen_t own_length = linux_os::SocketAddress::capacity();
    socklen_t peer_length = linux_os::SocketAddress::capacity();
    if (::getsockname(socket.get(), own.get(), &own_length) == 0 &&
        ::getpeername(socket.get(), peer.get(), &peer_length) == 0 &&
        own.address() == peer.address())
        stop_pacing(socket);
}

}  // namespace berth::net
