// What the device is given: frames with checksums left to the kernel.
#include "net/tap_writer.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace berth::net {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kAck = 0x10;
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kPush = 0x08;

struct Frame final {
    std::size_t payload = 0;
    std::uint8_t flags = kAck;
    bool v6 = false;
};

void put(Bytes& bytes, std::uint32_t value, int size) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
        bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

// From 192.0.2.9 (2001:db8::9) to 10.0.2.100 (fd00::64).
Bytes bytes_of(const Frame& frame) {
    Bytes bytes(12, 2);
    put(bytes, frame.v6 ? 0x86dd : 0x0800, 2);
    const std::size_t length = 20 + frame.payload;
    if (frame.v6) {
        put(bytes, 0x60000000, 4);
        put(bytes, static_cast<std::uint32_t>(length), 2);
        put(bytes, 0x0640, 2);
        for (const std::uint32_t word : {0x20010db8U, 0U, 0U, 9U, 0xfd000000U, 0U, 0U, 0x64U})
            put(bytes, word, 4);
    } else {
        put(bytes, 0x4500, 2);
        put(bytes, static_cast<std::uint32_t>(20 + length), 2);
        put(bytes, 0, 4);
        put(bytes, 0x4006, 2);
        put(bytes, 0, 2);
        put(bytes, 0xc0000209, 4);
        put(bytes, 0x0a000264, 4);
    }
    put(bytes, 80, 2);
    put(bytes, 40000, 2);
    put(bytes, 1, 4);
    put(bytes, 7, 4);
    put(bytes, 0x5000U | frame.flags, 2);
    put(bytes, 512, 2);
    put(bytes, 0xabcd0000, 4);  // the sum that libslirp computed
    for (std::size_t i = 0; i < frame.payload; ++i)
        bytes.push_back(static_cast<std::uint8_t>(i * 31));
    return bytes;
}

struct Written final {
    OffloadHeader hints{};
    Bytes frame;
};

class TapWriterTest : public testing::Test {
  protected:
    void SetUp() override {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
            throw_errno("making a pair of sockets");
        tap_.reset(ends[0]);
        kernel_.reset(ends[1]);
        writer_.emplace(tap_, 65520);
    }
    void send(const Frame& frame) { writer_->send(bytes_of(frame)); }
    std::vector<Written> written() {
        std::vector<Written> all;
        Bytes buffer(70'000);
        for (ssize_t size; (size = ::recv(kernel_.get(), buffer.data(), buffer.size(), 0)) > 0;) {
            Written& one = all.emplace_back();
            std::memcpy(&one.hints, buffer.data(), sizeof one.hints);
            one.frame.assign(buffer.begin() + sizeof one.hints, buffer.begin() + size);
        }
        return all;
    }
    UniqueFd tap_, kernel_;
    std::optional<TapWriter> writer_;
};

TEST_F(TapWriterTest, SegmentsGoAsTheyAreButForTheirSum) {
    for (const bool v6 : {false, true}) {
        Bytes sent = bytes_of({.payload = 20'000, .v6 = v6});
        writer_->send(sent);
        auto packets = written();
        ASSERT_EQ(packets.size(), 1U);
        EXPECT_EQ(packets[0].hints.kind, 0);
        EXPECT_EQ(packets[0].hints.headers, v6 ? 74 : 54);
        for (Bytes* frame : {&sent, &packets[0].frame}) set16(*frame, v6 ? 70 : 50, 0);
        EXPECT_EQ(packets[0].frame, sent);
    }
}

TEST_F(TapWriterTest, TheSumIsThatOfThePseudoHeader) {
    send({.payload = 100, .flags = kAck | kPush});
    const auto packets = written();
    ASSERT_EQ(packets.size(), 1U);
    EXPECT_EQ(packets[0].hints.flags, OffloadHeader::kNeedsChecksum);
    EXPECT_EQ(packets[0].hints.sum_from, 34);
    EXPECT_EQ(packets[0].hints.sum_at, 16);
    const PacketBytes frame = packets[0].frame;
    EXPECT_EQ(get16(frame, 50), folded(0xc000 + 0x0209 + 0x0a00 + 0x0264 + 6 + 120));
}

TEST_F(TapWriterTest, ContainersMaySendAsMuchAsTheDeviceTakes) {
    for (const bool v6 : {false, true}) {
        Bytes frame = bytes_of({.payload = 4, .flags = kSyn | kAck, .v6 = v6});
        const std::size_t tcp = v6 ? 54 : 34;
        frame[tcp + 12] = 0x60;  // not four bytes of payload, but an option

        std::ranges::copy(Bytes{2, 4, 5, 180}, frame.end() - 4);
        writer_->send(frame);
        const auto packets = written();
        ASSERT_EQ(packets.size(), 1U);
        EXPECT_EQ(get16(packets[0].frame, tcp + 22), v6 ? 1460 : 65480);
    }
}

TEST_F(TapWriterTest, OtherFramesPassAsTheyAre) {
    Bytes datagram = bytes_of({.payload = 300});
    datagram[23] = 17;
    Bytes fragment = bytes_of({.payload = 300});
    fragment[20] = 0x20;
    Bytes neighbour(42, 1);
    for (const Bytes& frame : {datagram, fragment, neighbour}) writer_->send(frame);
    const auto packets = written();
    ASSERT_EQ(packets.size(), 3U);
    EXPECT_EQ(packets[0].frame, datagram);
    EXPECT_EQ(packets[1].frame, fragment);
    EXPECT_EQ(packets[2].frame, neighbour);
    EXPECT_EQ(packets[0].hints.flags, 0);
    EXPECT_EQ(packets[2].hints.headers, neighbour.size());
}

}  // namespace
}  // namespace berth::net
