// Which protocol Asio is to take a connected stream socket for.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>

#include "base/unique_fd.h"

namespace berth::async {

/// Throws Error for what is no socket.
boost::asio::generic::stream_protocol protocol_of(BorrowedFd socket);

}  // namespace berth::async
