// Packets at the gate: what is read from a container, and the answers, byte for byte where the
// kernel checks them.
#include "net/tcp_packet.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace berth::net {
namespace {

using Bytes = std::vector<std::uint8_t>;

// A SYN from 10.88.0.2:40000 to 192.0.2.9:80, sequence 0x01020304, with an MSS option.
Bytes syn4() {
    return {0x45, 0,   0,    44, 0,    0,    0x40, 0, 63, 6, 0, 0, 10, 88,  0,
            2,    192, 0,    2,  9,    0x9c, 0x40, 0, 80, 1, 2, 3, 4,  0,   0,
            0,    0,   0x60, 2,  0xff, 0xff, 0,    0, 0,  0, 2, 4, 5,  0xb4};
}

// The same from fd88::2 to 2001:db8::9.
Bytes syn6() {
    Bytes packet{0x60, 0, 0, 0, 0, 24, 6, 63};
    const Bytes source{0xfd, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    const Bytes destination{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};
    packet.insert(packet.end(), source.begin(), source.end());
    packet.insert(packet.end(), destination.begin(), destination.end());
    const Bytes segment = syn4();
    packet.insert(packet.end(), segment.begin() + 20, segment.end());
    return packet;
}

PacketBytes view(const std::string& packet) {
    return {reinterpret_cast<const std::uint8_t*>(packet.data()), packet.size()};
}

std::uint32_t sum(PacketBytes bytes, std::uint32_t total = 0) {
    for (std::size_t i = 0; i < bytes.size(); ++i)
        total += i % 2 == 0 ? bytes[i] * 256U : std::uint32_t{bytes[i]};
    while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
    return total;
}

// A right checksum makes the sum over everything it covers all ones.
bool is_transport_sum_right(PacketBytes packet, std::uint8_t protocol) {
    const bool is_v4 = packet[0] >> 4 == 4;
    const PacketBytes payload = packet.subspan(is_v4 ? 20 : 40);
    const PacketBytes addresses = is_v4 ? packet.subspan(12, 8) : packet.subspan(8, 32);
    const auto length = static_cast<std::uint32_t>(payload.size());
    return sum(payload, sum(addresses) + length + protocol) == 0xffff;
}

TEST(TcpPacket, ReadsASyn) {
    const Bytes packet = syn4();
    const auto segment = parse_tcp(packet);
    ASSERT_TRUE(segment);
    EXPECT_TRUE(segment->is_opening());
    EXPECT_EQ(segment->key.source.str(), "10.88.0.2");
    EXPECT_EQ(segment->key.destination.str(), "192.0.2.9");
    EXPECT_EQ(segment->key.source_port, 40000);
    EXPECT_EQ(segment->key.destination_port, 80);
    EXPECT_EQ(segment->sequence, 0x01020304U);
    EXPECT_EQ(segment->length, 1U);
}

TEST(TcpPacket, ReadsASynOfIpv6) {
    const auto segment = parse_tcp(syn6());
    ASSERT_TRUE(segment);
    EXPECT_TRUE(segment->is_opening());
    EXPECT_EQ(segment->key.source.str(), "fd88::2");
    EXPECT_EQ(segment->key.destination.str(), "2001:db8::9");
}

TEST(TcpPacket, StepsOverExtensionHeaders) {
    Bytes packet = syn6();
    packet[5] = 32;
    packet[6] = 0;  // hop-by-hop options
    const Bytes options{6, 0, 1, 4, 0, 0, 0, 0};
    packet.insert(packet.begin() + 40, options.begin(), options.end());
    const auto segment = parse_tcp(packet);
    ASSERT_TRUE(segment);
    EXPECT_EQ(segment->key.destination_port, 80);
}

TEST(TcpPacket, IgnoresFragmentsOtherProtocolsAndShortHeads) {
    Bytes fragment = syn4();
    fragment[7] = 1;
    EXPECT_FALSE(parse_tcp(fragment));
    Bytes datagram = syn4();
    datagram[9] = 17;
    EXPECT_FALSE(parse_tcp(datagram));
    Bytes longer_than_it_is = syn4();
    longer_than_it_is[3] = 200;
    EXPECT_FALSE(parse_tcp(longer_than_it_is));
    Bytes header_beyond_end = syn4();
    header_beyond_end[32] = 0xf0;
    EXPECT_FALSE(parse_tcp(header_beyond_end));
}

TEST(TcpPacket, EveryPrefixOfAPacketIsReadSafely) {
    for (const Bytes& packet : {syn4(), syn6()})
        for (std::size_t length = 0; length < packet.size(); ++length) {
            const Bytes prefix(packet.begin(), packet.begin() + static_cast<long>(length));
            EXPECT_FALSE(parse_tcp(prefix)) << length;
        }
}

TEST(TcpPacket, NoiseIsReadSafelyAndAnswersFitTheirLimits) {
    std::mt19937 random(7);
    const IpAddress router4 = IpAddress::parse("10.88.0.1");
    const IpAddress router6 = IpAddress::parse("fd88::1");
    for (int i = 0; i < 200'000; ++i) {
        Bytes packet = random() % 2 == 0 ? syn4() : syn6();
        packet.resize(packet.size() + random() % 2000);
        for (auto flips = random() % 12; flips > 0; --flips)
            packet[random() % packet.size()] = static_cast<std::uint8_t>(random());
        const auto segment = parse_tcp(packet);
        if (!segment) continue;
        const bool is_v4 = segment->key.source.family == IpFamily::v4;
        EXPECT_EQ(reset_packet(*segment).size(), is_v4 ? 40U : 60U);
        EXPECT_LE(unreachable_packet(Unreachable::host, is_v4 ? router4 : router6, packet).size(),
                  is_v4 ? 576U : 1280U);
    }
}

TEST(TcpPacket, ResetAnswersASyn) {
    for (const Bytes& packet : {syn4(), syn6()}) {
        const auto segment = parse_tcp(packet);
        ASSERT_TRUE(segment);
        const std::string reset = reset_packet(*segment);
        const auto answer = parse_tcp(view(reset));
        ASSERT_TRUE(answer);
        EXPECT_TRUE(answer->rst && answer->ack && !answer->syn);
        EXPECT_EQ(answer->acknowledgement, 0x01020305U);
        EXPECT_EQ(answer->key.source, segment->key.destination);
        EXPECT_EQ(answer->key.destination_port, segment->key.source_port);
        EXPECT_TRUE(is_transport_sum_right(view(reset), 6));
    }
}

TEST(TcpPacket, ResetOfAConnectionNobodyKnowsTakesItsSequenceFromTheAcknowledgement) {
    Bytes packet = syn4();
    packet[31] = 7;     // acknowledges 7
    packet[33] = 0x10;  // only ACK
    const std::string reset = reset_packet(*parse_tcp(packet));
    const auto answer = parse_tcp(view(reset));
    EXPECT_TRUE(answer->rst && !answer->ack);
    EXPECT_EQ(answer->sequence, 7U);
}

TEST(TcpPacket, DataInASynIsAcknowledgedByTheReset) {
    Bytes packet = syn4();
    packet[3] = 47;
    packet.insert(packet.end(), {'a', 'b', 'c'});
    const std::string reset = reset_packet(*parse_tcp(packet));
    EXPECT_EQ(parse_tcp(view(reset))->acknowledgement, 0x01020304U + 4);
}

TEST(TcpPacket, UnreachableQuotesThePacketToItsSender) {
    const Bytes packet = syn4();
    const std::string text =
        unreachable_packet(Unreachable::network, IpAddress::parse("10.88.0.1"), packet);
    const PacketBytes message = view(text);
    EXPECT_EQ(sum(message.first(20)), 0xffffU);
    EXPECT_EQ(sum(message.subspan(20)), 0xffffU);
    EXPECT_EQ(message[9], 1);
    EXPECT_EQ(message[15], 1);  // from the router
    EXPECT_EQ(message[19], 2);  // to the container
    EXPECT_EQ(message[20], 3);
    EXPECT_EQ(message[21], 0);
    EXPECT_TRUE(std::equal(packet.begin(), packet.end(), message.begin() + 28, message.end()));
}

TEST(TcpPacket, UnreachableOfIpv6HasItsOwnCodesAndChecksum) {
    const auto code = [](Unreachable reason) {
        const std::string text = unreachable_packet(reason, IpAddress::parse("fd88::1"), syn6());
        EXPECT_TRUE(is_transport_sum_right(view(text), 58));
        EXPECT_EQ(view(text)[40], 1);
        return view(text)[41];
    };
    EXPECT_EQ(code(Unreachable::network), 0);
    EXPECT_EQ(code(Unreachable::prohibited), 1);
    EXPECT_EQ(code(Unreachable::host), 3);
}

}  // namespace
}  // namespace berth::net
