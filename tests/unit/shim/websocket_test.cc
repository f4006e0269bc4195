// Frames of WebSockets against the examples of RFC 6455, section 5.7.
#include "shim/websocket.h"

#include <gtest/gtest.h>

namespace berth::shim {
namespace {

std::string masked(unsigned opcode, const std::string& body) {
    std::string frame{static_cast<char>(0x80U | opcode)};
    if (body.size() < 126) {
        frame += static_cast<char>(0x80U | body.size());
    } else {
        frame += static_cast<char>(0xfe);
        frame += static_cast<char>(body.size() >> 8U);
        frame += static_cast<char>(body.size());
    }
    const std::string mask = "\x37\xfa\x21\x3d";
    frame += mask;
    for (std::size_t i = 0; i < body.size(); ++i) frame += static_cast<char>(body[i] ^ mask[i % 4]);
    return frame;
}

TEST(Websocket, heads_have_the_shortest_length) {
    EXPECT_EQ(websocket_header(5), "\x82\x05");
    EXPECT_EQ(websocket_header(256), std::string("\x82\x7e\x01\x00", 4));
    EXPECT_EQ(websocket_header(65536), std::string("\x82\x7f\0\0\0\0\0\1\0\0", 10));
}

TEST(Websocket, masked_frames_are_read) {
    WebsocketInput input;
    EXPECT_EQ(input.feed("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").payload, "Hello");
    const std::string big(1000, 'x');
    EXPECT_EQ(input.feed(masked(2, big) + masked(2, "y")).payload, big + "y");
}

TEST(Websocket, frames_may_come_in_single_bytes) {
    WebsocketInput input;
    std::string payload;
    for (const char byte : masked(1, "one") + masked(2, "") + masked(2, std::string(300, 'z')))
        payload += input.feed({&byte, 1}).payload;
    EXPECT_EQ(payload, "one" + std::string(300, 'z'));
}

TEST(Websocket, a_ping_is_answered_and_a_close_ends) {
    WebsocketInput input;
    const auto result = input.feed(masked(9, "are you") + masked(10, "") + masked(8, "") + "rest");
    EXPECT_EQ(result.replies,
              "\x8a\x07"
              "are you");
    EXPECT_TRUE(result.ended);
    EXPECT_TRUE(input.feed("more").payload.empty());
}

TEST(Websocket, what_is_no_frame_of_a_client_ends_the_stream) {
    EXPECT_TRUE(WebsocketInput().feed("\x82\x01x\x01\x01\x01").ended);  // not masked
    EXPECT_TRUE(WebsocketInput().feed(masked(3, "x")).ended);           // no such kind
    EXPECT_TRUE(WebsocketInput().feed(masked(9, std::string(200, 'p'))).ended);
}

}  // namespace
}  // namespace berth::shim
