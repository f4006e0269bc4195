// What the device is given: frames with checksums left to the kernel, and consecutive segments as
// one packet.
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

constexpr std::uint32_t kSegment = kPairedMtu - 40;
constexpr std::uint8_t kAck = 0x10;
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kPush = 0x08;
constexpr std::uint8_t kFin = 0x01;

struct Frame final {
    std::uint32_t sequence = 1;
    std::size_t payload = 0;
    std::uint8_t flags = kAck;
    bool v6 = false;
    std::uint16_t port = 40000;
    std::uint16_t window = 512;
};

void put(Bytes& bytes, std::uint32_t value, int size) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
        bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

// From 192.0.2.9 (2001:db8::9) to 10.0.2.100 (fd00::64), its payload counted from the sequence on.
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
        put(bytes, frame.sequence, 2);  // an identification that differs
        put(bytes, 0x00004006, 4);
        put(bytes, 0, 2);
        put(bytes, 0xc0000209, 4);
        put(bytes, 0x0a000264, 4);
    }
    put(bytes, 80, 2);
    put(bytes, frame.port, 2);
    put(bytes, frame.sequence, 4);
    put(bytes, 7, 4);
    put(bytes, 0x5000U | frame.flags, 2);
    put(bytes, frame.window, 2);
    put(bytes, 0xabcd0000, 4);  // the sum that libslirp computed
    for (std::size_t i = 0; i < frame.payload; ++i)
        bytes.push_back(static_cast<std::uint8_t>((frame.sequence + i) * 31));
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

TEST_F(TapWriterTest, SegmentsInARowAreOnePacket) {
    for (const bool v6 : {false, true}) {
        send({.sequence = 1, .payload = kSegment, .v6 = v6});
        EXPECT_TRUE(written().empty());
        send({.sequence = 1 + kSegment, .payload = kSegment, .v6 = v6});
        const auto packets = written();
        ASSERT_EQ(packets.size(), 1U);
        const OffloadHeader& hints = packets[0].hints;
        EXPECT_EQ(hints.kind, v6 ? OffloadHeader::tcp6_segments : OffloadHeader::tcp4_segments);
        EXPECT_EQ(hints.segment, kSegment);
        EXPECT_EQ(hints.headers, v6 ? 74 : 54);
        Bytes whole = bytes_of({.sequence = 1, .payload = 2 * kSegment, .v6 = v6});
        const Bytes& frame = packets[0].frame;
        ASSERT_EQ(frame.size(), whole.size());
        EXPECT_TRUE(
            std::equal(frame.begin() + hints.headers, frame.end(), whole.begin() + hints.headers));
        EXPECT_EQ(get16(frame, v6 ? 18 : 16), frame.size() - (v6 ? 54 : 14));
    }
}

TEST_F(TapWriterTest, ManySmallSegmentsFillAPacket) {
    for (std::uint32_t i = 0; i < 100; ++i) send({.sequence = i * 1460, .payload = 1460});
    writer_->flush();
    const auto packets = written();
    ASSERT_EQ(packets.size(), 3U);
    EXPECT_EQ(packets[0].frame.size(), 54U + 44 * 1460);
    EXPECT_EQ(packets[2].frame.size(), 54U + 12 * 1460);
}

TEST_F(TapWriterTest, TheLastSegmentMayBeShortAndIsNotWaitedFor) {
    send({.sequence = 0, .payload = 1000});
    send({.sequence = 1000, .payload = 10, .flags = kAck | kPush});
    const auto packets = written();
    ASSERT_EQ(packets.size(), 1U);
    EXPECT_EQ(packets[0].frame.size(), 54U + 1010);
    EXPECT_EQ(packets[0].frame[47], kAck | kPush);
    EXPECT_FALSE(writer_->flush());
}

TEST_F(TapWriterTest, WhatIsKeptGoesWithTheFlush) {
    send({.sequence = 0, .payload = 1000});
    EXPECT_TRUE(writer_->flush());
    const auto packets = written();
    ASSERT_EQ(packets.size(), 1U);
    EXPECT_EQ(packets[0].hints.kind, OffloadHeader::one_packet);
    EXPECT_FALSE(writer_->flush());
}

TEST_F(TapWriterTest, OnlyWhatContinuesIsJoined) {
    const Frame first{.sequence = 0, .payload = 1000};
    const Frame others[] = {{.sequence = 2000, .payload = 1000},
                            {.sequence = 1000, .payload = 1001},
                            {.sequence = 1000, .payload = 1000, .flags = kAck | kFin},
                            {.sequence = 1000, .payload = 1000, .port = 40001},
                            {.sequence = 1000, .payload = 1000, .window = 513},
                            {.sequence = 1000, .payload = 0}};
    for (const Frame& other : others) {
        send(first);
        send(other);
        writer_->flush();
        const auto packets = written();
        ASSERT_EQ(packets.size(), 2U);
        EXPECT_EQ(packets[0].frame.size(), 1054U);
        EXPECT_EQ(packets[1].frame.size(), 54 + other.payload);
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
    EXPECT_EQ(folded(sum(frame.subspan(14, 20))), 0xffff);
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
    send({.sequence = 0, .payload = 1000});  // kept: goes first
    for (const Bytes& frame : {datagram, fragment, neighbour}) writer_->send(frame);
    const auto packets = written();
    ASSERT_EQ(packets.size(), 4U);
    EXPECT_EQ(packets[1].frame, datagram);
    EXPECT_EQ(packets[2].frame, fragment);
    EXPECT_EQ(packets[3].frame, neighbour);
    EXPECT_EQ(packets[1].hints.flags, 0);
    EXPECT_EQ(packets[3].hints.headers, neighbour.size());
}

}  // namespace
}  // namespace berth::net
