// Takes a connection over for a stream: the head goes out before anything is waited for.
#pragma once

#include <string>

#include "api/call.h"

namespace berth::api {

/// Sends the head of the upgrade and gives the client's socket away. The python SDK reads the head
/// through a buffer that it then forgets, and the stream from the socket: bytes that come along
/// with the head would be lost. So it has the head before the stream can begin.
async::Task<http::Hijacked> hijack(Call& call, const std::string& content_type,
                                   const http::Headers& extra);

/// Until the peer of a unix socket has taken all that was sent; 2 s at most, and at once for
/// other sockets.
async::Task<> until_taken(BorrowedFd socket);

}  // namespace berth::api
