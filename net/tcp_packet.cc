#include "net/tcp_packet.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace berth::net {
namespace {

constexpr std::size_t kHeader4 = 20;
constexpr std::size_t kHeader6 = 40;
constexpr std::size_t kTcpHeader = 20;
constexpr std::size_t kIcmpHeader = 8;
// What an error message may quote: RFC 1812 asks for 576 bytes in all, RFC 4443 allows 1280.
constexpr std::size_t kQuoted4 = 576 - kHeader4 - kIcmpHeader;
constexpr std::size_t kQuoted6 = 1280 - kHeader6 - kIcmpHeader;
constexpr std::uint8_t kHopLimit = 64;
constexpr int kMaxExtensions = 8;

enum TcpFlag : std::uint8_t { fin = 0x01, syn_flag = 0x02, rst_flag = 0x04, ack_flag = 0x10 };

IpAddress get_address(IpFamily family, PacketBytes bytes, std::size_t at) {
    IpAddress address{family, 0};
    for (const std::uint8_t byte : bytes.subspan(at, static_cast<std::size_t>(bits_of(family)) / 8))
        address.value = address.value << 8 | byte;
    return address;
}

/// A packet under construction, in network order.
class Writer final {
  public:
    void put8(std::uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
    void put16(std::uint16_t value) {
        put8(static_cast<std::uint8_t>(value >> 8));
        put8(static_cast<std::uint8_t>(value));
    }
    void put32(std::uint32_t value) {
        put16(static_cast<std::uint16_t>(value >> 16));
        put16(static_cast<std::uint16_t>(value));
    }
    void put(const IpAddress& address) {
        for (int shift = bits_of(address.family) - 8; shift >= 0; shift -= 8)
            put8(static_cast<std::uint8_t>(address.value >> shift));
    }
    void put(PacketBytes more) {
        bytes_.append(reinterpret_cast<const char*>(more.data()), more.size());
    }
    void set16(std::size_t at, std::uint16_t value) {
        bytes_[at] = static_cast<char>(value >> 8);
        bytes_[at + 1] = static_cast<char>(value);
    }
    PacketBytes view(std::size_t from = 0) const {
        return {reinterpret_cast<const std::uint8_t*>(bytes_.data()) + from, bytes_.size() - from};
    }
    std::string take() { return std::move(bytes_); }

  private:
    std::string bytes_;
};

std::uint32_t sum_pseudo_header(const IpAddress& source, const IpAddress& destination,
                                std::uint8_t protocol, std::size_t length) {
    Writer pseudo;
    pseudo.put(source);
    pseudo.put(destination);
    pseudo.put32(static_cast<std::uint32_t>(length));
    pseudo.put32(protocol);
    return sum(pseudo.view());
}

/// Opens a packet; what follows is `length` bytes of `protocol`.
Writer ip_header(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol,
                 std::size_t length) {
    Writer packet;
    if (source.family == IpFamily::v4) {
        packet.put16(0x4500);
        packet.put16(static_cast<std::uint16_t>(kHeader4 + length));
        packet.put32(0x4000);  // no identification, "don't fragment"
        packet.put8(kHopLimit);
        packet.put8(protocol);
        packet.put16(0);
        packet.put(source);
        packet.put(destination);
        packet.set16(10, checksum(sum(packet.view())));
        return packet;
    }
    packet.put32(0x60000000);
    packet.put16(static_cast<std::uint16_t>(length));
    packet.put8(protocol);
    packet.put8(kHopLimit);
    packet.put(source);
    packet.put(destination);
    return packet;
}

struct Transport final {
    IpFamily family = IpFamily::v4;
    std::size_t at = 0;   // where the transport header begins
    std::size_t end = 0;  // of the packet; behind it may be padding
};

std::optional<Transport> find_tcp_v4(PacketBytes packet) {
    if (packet.size() < kHeader4) return std::nullopt;
    const std::size_t header = static_cast<std::size_t>(packet[0] & 0x0f) * 4;
    const std::size_t total = get16(packet, 2);
    const bool fragment = (get16(packet, 6) & 0x3fff) != 0;
    if (header < kHeader4 || total < header || total > packet.size() || fragment ||
        packet[9] != IPPROTO_TCP)
        return std::nullopt;
    return Transport{IpFamily::v4, header, total};
}

std::optional<Transport> find_tcp_v6(PacketBytes packet) {
    if (packet.size() < kHeader6) return std::nullopt;
    const std::size_t end = kHeader6 + get16(packet, 4);
    if (end > packet.size()) return std::nullopt;
    std::uint8_t next = packet[6];
    std::size_t at = kHeader6;
    for (int i = 0; next != IPPROTO_TCP; ++i) {
        const bool skippable =
            next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING;
        if (!skippable || i == kMaxExtensions || at + 8 > end) return std::nullopt;
        next = packet[at];
        at += (std::size_t{packet[at + 1]} + 1) * 8;
    }
    return Transport{IpFamily::v6, at, end};
}

}  // namespace

std::size_t ConnectionKeyHash::operator()(const ConnectionKey& key) const {
    const auto mix = [](std::uint64_t hash, std::uint64_t value) {
        hash = (hash ^ value) * 0x9e3779b97f4a7c15;
        return hash ^ hash >> 29;
    };
    std::uint64_t hash = 0;
    for (const IpAddress& address : {key.source, key.destination}) {
        hash = mix(hash, static_cast<std::uint64_t>(address.value));
        hash = mix(hash, static_cast<std::uint64_t>(address.value >> 64));
    }
    return mix(hash, std::uint64_t{key.source_port} << 16 | key.destination_port);
}

std::optional<TcpSegment> parse_tcp(PacketBytes packet) {
    if (packet.empty()) return std::nullopt;
    const int version = packet[0] >> 4;
    const auto found = version == 4   ? find_tcp_v4(packet)
                       : version == 6 ? find_tcp_v6(packet)
                                      : std::nullopt;
    if (!found || found->at + kTcpHeader > found->end) return std::nullopt;
    const PacketBytes tcp = packet.subspan(found->at, found->end - found->at);
    const std::size_t header = static_cast<std::size_t>(tcp[12] >> 4) * 4;
    if (header < kTcpHeader || header > tcp.size()) return std::nullopt;
    const std::size_t addresses = found->family == IpFamily::v4 ? 12 : 8;
    const std::size_t width = found->family == IpFamily::v4 ? 4 : 16;
    const std::uint8_t flags = tcp[13];
    TcpSegment segment;
    segment.key = {get_address(found->family, packet, addresses),
                   get_address(found->family, packet, addresses + width), get16(tcp, 0),
                   get16(tcp, 2)};
    segment.sequence = get32(tcp, 4);
    segment.acknowledgement = get32(tcp, 8);
    segment.syn = flags & syn_flag;
    segment.ack = flags & ack_flag;
    segment.rst = flags & rst_flag;
    segment.length = static_cast<std::uint32_t>(tcp.size() - header) + (segment.syn ? 1U : 0U) +
                     (flags & fin ? 1U : 0U);
    return segment;
}

std::string reset_packet(const TcpSegment& segment) {
    const ConnectionKey& key = segment.key;
    Writer packet = ip_header(key.destination, key.source, IPPROTO_TCP, kTcpHeader);
    const std::size_t at = packet.view().size();
    packet.put16(key.destination_port);
    packet.put16(key.source_port);
    packet.put32(segment.ack ? segment.acknowledgement : 0);
    packet.put32(segment.ack ? 0 : segment.sequence + segment.length);
    packet.put8(0x50);
    packet.put8(segment.ack ? rst_flag : rst_flag | ack_flag);
    packet.put32(0);  // window, checksum
    packet.put16(0);
    packet.set16(at + 16,
                 checksum(sum(packet.view(at)) +
                          sum_pseudo_header(key.destination, key.source, IPPROTO_TCP, kTcpHeader)));
    return packet.take();
}

std::string unreachable_packet(Unreachable reason, const IpAddress& router, PacketBytes packet) {
    struct Codes final {
        std::uint8_t v4, v6;
    };
    const Codes codes =
        reason == Unreachable::network ? Codes{ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE}
        : reason == Unreachable::host  ? Codes{ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR}
                                       : Codes{ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADMIN};
    const bool is_v4 = router.family == IpFamily::v4;
    const PacketBytes quoted = packet.first(std::min(packet.size(), is_v4 ? kQuoted4 : kQuoted6));
    const IpAddress source = get_address(router.family, packet, is_v4 ? 12 : 8);
    const std::uint8_t protocol = is_v4 ? std::uint8_t{IPPROTO_ICMP} : std::uint8_t{IPPROTO_ICMPV6};
    const std::size_t length = kIcmpHeader + quoted.size();
    Writer answer = ip_header(router, source, protocol, length);
    const std::size_t at = answer.view().size();
    answer.put8(is_v4 ? std::uint8_t{ICMP_DEST_UNREACH} : std::uint8_t{ICMP6_DST_UNREACH});
    answer.put8(is_v4 ? codes.v4 : codes.v6);
    answer.put16(0);
    answer.put32(0);
    answer.put(quoted);
    const std::uint32_t pseudo = is_v4 ? 0 : sum_pseudo_header(router, source, protocol, length);
    answer.set16(at + 2, checksum(sum(answer.view(at)) + pseudo));
    return answer.take();
}

}  // namespace berth::net
