#include "async/stream_protocol.h"

#include <sys/socket.h>

#include "base/error.h"

namespace berth::async {

boost::asio::generic::stream_protocol protocol_of(BorrowedFd socket) {
    int domain = 0;
    socklen_t size = sizeof domain;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0)
        throw_errno("asking for the family of a connection");
    return {domain, 0};
}

}  // namespace berth::async
