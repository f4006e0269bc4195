#include "api/websocket.h"

#include <openssl/sha.h>

#include "base/base64.h"
#include "base/error.h"

namespace berth::api {

namespace {
constexpr const char* kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

std::string accept_value(const std::string& key) {
    const std::string text = key + kGuid;
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    return encode_base64({reinterpret_cast<const char*>(digest), sizeof digest});
}
}  // namespace

std::string websocket_head(const http::Request& request) {
    const std::string key = request.headers.get("Sec-WebSocket-Key");
    if (!request.headers.has_token("Upgrade", "websocket") || key.empty())
        throw Error(ErrorKind::invalid, "the request is no WebSocket handshake");
    if (request.headers.get("Sec-WebSocket-Version") != "13")
        throw Error(ErrorKind::invalid, "only version 13 of the WebSocket protocol is served");
    return fmt::format(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: {}\r\n\r\n",
        accept_value(key));
}

}  // namespace berth::api
