// TCP packets as the gate of outgoing connections sees them: reading the head of an IP packet, and
// building the answers a router or the destination would send. Pure, no IO; any thread. Input comes
// from containers, so nothing in it is trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ip_address.h"
#include "net/packet_bytes.h"

namespace berth::net {

/// Both ends of a connection, as the container sees it.
struct ConnectionKey final {
    IpAddress source;
    IpAddress destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    bool operator==(const ConnectionKey&) const = default;
};

struct ConnectionKeyHash final {
    std::size_t operator()(const ConnectionKey& key) const;
};

struct TcpSegment final {
    ConnectionKey key;
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgement = 0;
    std::uint32_t length = 0;  // in sequence numbers: payload, SYN and FIN
    bool syn = false;
    bool ack = false;
    bool rst = false;

    /// Opens a connection.
    bool is_opening() const { return syn && !ack && !rst; }
};

/// Nothing for what is no complete, unfragmented TCP head.
std::optional<TcpSegment> parse_tcp(PacketBytes packet);

/// The reset that the destination of `segment` would send (RFC 9293, 3.10.7.1).
std::string reset_packet(const TcpSegment& segment);

/// The errors of connect(2) that a router tells by ICMP.
enum class Unreachable { network, host, prohibited };
/// The ICMP or ICMPv6 message of `router` about `packet`, which parse_tcp accepted, addressed to
/// the packet's source. Both are of one family.
std::string unreachable_packet(Unreachable reason, const IpAddress& router, PacketBytes packet);

}  // namespace berth::net
