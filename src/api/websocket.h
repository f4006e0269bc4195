// The handshake of a WebSocket (RFC 6455); its frames are the shim's (shim/websocket.h). Pure.
#pragma once

#include <string>

#include "http/message.h"

namespace berth::api {

/// The head that answers a client's handshake. Throws Error{invalid} when the request is none.
std::string websocket_head(const http::Request& request);

}  // namespace berth::api
