// The frames of a WebSocket (RFC 6455) after its handshake, seen from the server: what it sends,
// and what the client's masked frames hold. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::shim {

/// What stands before a binary frame of `size` bytes.
std::string websocket_header(std::size_t size);
/// A whole frame that says the stream has ended in order.
std::string websocket_close();

class WebsocketInput final {
  public:
    struct Result final {
        std::string payload;
        std::string replies;  // whole frames to send: pongs
        bool ended = false;   // the client closed the stream, or sent what is no frame
    };
    /// Takes the client's next bytes, cut anywhere.
    Result feed(std::string_view bytes);

  private:
    bool take_head(std::string_view& bytes, Result& result);
    void take_body(std::string_view& bytes, Result& result);
    void end_frame(Result& result);

    std::string head_;  // of the frame that is coming
    bool in_body_ = false;
    unsigned opcode_ = 0;
    std::array<unsigned char, 4> mask_{};
    std::uint64_t length_ = 0;
    std::uint64_t done_ = 0;  // bytes of the body
    std::string control_;     // body of a control frame
    bool ended_ = false;
};

}  // namespace berth::shim
