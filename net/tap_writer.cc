#include "net/tap_writer.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace berth::net {
namespace {

constexpr std::size_t kHeader4 = 20;
constexpr std::size_t kHeader6 = 40;
constexpr std::size_t kTcpHeader = 20;
constexpr std::size_t kTcp4 = ETH_HLEN + kHeader4;
constexpr std::size_t kTcp6 = ETH_HLEN + kHeader6;
constexpr std::size_t kMaxHeaders = kTcp6 + 60;
// What the length field of an IP header can say.
constexpr std::size_t kMaxPacket = 65535;
// Of other frames, this much lies in the packet's first page and the rest in pages: otherwise the
// kernel looks for as many pages in a row.
constexpr std::size_t kLinear = 128;
constexpr std::uint8_t kAck = 0x10;
constexpr std::uint8_t kPush = 0x08;
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kSegmentOption = 2;

// In an Ethernet frame without options and extension headers, which libslirp never sends.
enum Offset : std::size_t {
    protocol = 12,
    length4 = ETH_HLEN + 2,
    identification = ETH_HLEN + 4,
    fragment = ETH_HLEN + 6,
    transport4 = ETH_HLEN + 9,
    checksum4 = ETH_HLEN + 10,
    addresses4 = ETH_HLEN + 12,
    length6 = ETH_HLEN + 4,
    transport6 = ETH_HLEN + 6,
    addresses6 = ETH_HLEN + 8,
};
// From the TCP header on.
enum TcpOffset : std::size_t { sequence = 4, data = 12, flags_at = 13, sum_at = 16 };

std::size_t find_tcp(PacketBytes frame) {
    if (frame.size() < kTcp4 + kTcpHeader) return 0;
    if (get16(frame, protocol) == ETH_P_IP)
        return frame[ETH_HLEN] == 0x45 && (get16(frame, fragment) & 0x3fff) == 0 &&
                       frame[transport4] == IPPROTO_TCP &&
                       get16(frame, length4) == frame.size() - ETH_HLEN
                   ? kTcp4
                   : 0;
    return get16(frame, protocol) == ETH_P_IPV6 && frame.size() >= kTcp6 + kTcpHeader &&
                   frame[transport6] == IPPROTO_TCP && get16(frame, length6) == frame.size() - kTcp6
               ? kTcp6
               : 0;
}

void write_all_of(BorrowedFd tap, OffloadHeader hints, PacketBytes first, PacketBytes second) {
    const auto part = [](PacketBytes bytes) {
        return iovec{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    };
    const std::array<iovec, 3> parts{iovec{&hints, sizeof hints}, part(first), part(second)};
    [[maybe_unused]] const ssize_t written = ::writev(tap.get(), parts.data(), parts.size());
}

}  // namespace

TapWriter::TapWriter(BorrowedFd tap, int mtu)
    : tap_(tap),
      mtu_(static_cast<std::size_t>(mtu)),
      buffer_(std::make_unique_for_overwrite<std::uint8_t[]>(ETH_HLEN + kMaxPacket + kHeader6)) {}

void TapWriter::send(PacketBytes frame) {
    const auto segment = as_segment(frame);
    if (!segment) {
        flush();
        OffloadHeader hints{};
        hints.headers = static_cast<std::uint16_t>(std::min(frame.size(), kLinear));
        return write_all_of(tap_, hints, frame, {});
    }
    const bool continued = continues(*segment);
    if (!continued) {
        flush();
        begin(*segment);
    }
    headers()[tcp_ + flags_at] = segment->flags();
    // Segments are of one size, but the last.
    const bool last = segment->flags() != kAck || segment->payload.empty() ||
                      segment->payload.size() < segment_ ||
                      !has_room(segment->payload.size() + segment_);
    if (last) return finish(segment->payload);
    append(segment->payload);
}

bool TapWriter::flush() {
    if (headers_ == 0) return false;
    finish({});
    return true;
}

std::optional<TapWriter::Segment> TapWriter::as_segment(PacketBytes frame) {
    const std::size_t tcp = find_tcp(frame);
    if (tcp == 0) return std::nullopt;
    const std::size_t size = tcp + static_cast<std::size_t>(frame[tcp + data] >> 4) * 4;
    if (size < tcp + kTcpHeader || size > frame.size()) return std::nullopt;
    return Segment{frame.first(size), frame.subspan(size), tcp};
}

// The same headers but for what differs from one segment to the next.
bool TapWriter::continues(const Segment& segment) const {
    if (headers_ != segment.headers.size() || tcp_ != segment.tcp || segment.payload.empty() ||
        segment.payload.size() > segment_ || !has_room(segment.payload.size()) ||
        (segment.flags() | kPush) != (kAck | kPush))
        return false;
    const PacketBytes kept = headers();
    if (get32(segment.headers, tcp_ + sequence) !=
        static_cast<std::uint32_t>(get32(kept, tcp_ + sequence) + payload_))
        return false;
    std::array<std::uint8_t, kMaxHeaders> expected;
    std::ranges::copy(segment.headers, expected.begin());
    const auto ignore = [&](std::size_t at, std::size_t size) {
        std::ranges::copy(kept.subspan(at, size), expected.begin() + static_cast<ssize_t>(at));
    };
    ignore(tcp_ + sequence, 4);
    ignore(tcp_ + flags_at, 1);
    ignore(tcp_ + sum_at, 2);
    if (tcp_ == kTcp6) {
        ignore(length6, 2);
    } else {
        ignore(length4, 4);  // and the identification
        ignore(checksum4, 2);
    }
    return std::memcmp(expected.data(), kept.data(), kept.size()) == 0;
}

bool TapWriter::has_room(std::size_t more) const {
    return headers_ - ETH_HLEN + payload_ + more <= kMaxPacket;
}

void TapWriter::begin(const Segment& segment) {
    headers_ = segment.headers.size();
    payload_ = 0;
    segment_ = segment.payload.size();
    tcp_ = segment.tcp;
    std::ranges::copy(segment.headers, buffer_.get());
    if (segment.flags() & kSyn) raise_announced_segment();
}

// What a container may send is bound by the device, not by what libslirp sends itself; but IPv6
// packets past its MTU it refuses. Its only option comes first.
void TapWriter::raise_announced_segment() {
    const std::size_t option = tcp_ + kTcpHeader;
    if (tcp_ != kTcp4 || headers_ < option + 4 || buffer_[option] != kSegmentOption) return;
    const std::size_t largest = mtu_ - (option - ETH_HLEN);
    set16(headers(), option + 2, static_cast<std::uint16_t>(largest));
}

void TapWriter::append(PacketBytes payload) {
    std::memcpy(buffer_.get() + headers_ + payload_, payload.data(), payload.size());
    payload_ += payload.size();
}

// The kernel needs the sum of the pseudo header, as of a packet whose checksum a card will compute:
// so it can still be completed should it ever leave the machine.
void TapWriter::complete_headers(std::size_t payload) {
    const std::span<std::uint8_t> bytes = headers();
    const std::size_t length = headers_ - tcp_ + payload;
    const bool is_v4 = tcp_ == kTcp4;
    if (is_v4) {
        set16(bytes, length4, static_cast<std::uint16_t>(kHeader4 + length));
        set16(bytes, checksum4, 0);
        set16(bytes, checksum4, checksum(sum(PacketBytes(bytes).subspan(ETH_HLEN, kHeader4))));
    } else {
        set16(bytes, length6, static_cast<std::uint16_t>(length));
    }
    const std::size_t addresses = is_v4 ? addresses4 : addresses6;
    const std::uint32_t pseudo = sum(PacketBytes(bytes).subspan(addresses, tcp_ - addresses)) +
                                 static_cast<std::uint32_t>(length) + IPPROTO_TCP;
    set16(bytes, tcp_ + sum_at, folded(pseudo));
}

void TapWriter::finish(PacketBytes rest) {
    const std::size_t payload = payload_ + rest.size();
    complete_headers(payload);
    OffloadHeader hints{};
    hints.flags = OffloadHeader::kNeedsChecksum;
    hints.sum_from = static_cast<std::uint16_t>(tcp_);
    hints.sum_at = sum_at;
    hints.headers = static_cast<std::uint16_t>(headers_);
    if (payload > segment_) {
        hints.kind = tcp_ == kTcp4 ? OffloadHeader::tcp4_segments : OffloadHeader::tcp6_segments;
        hints.segment = static_cast<std::uint16_t>(segment_);
    }
    write_all_of(tap_, hints, {buffer_.get(), headers_ + payload_}, rest);
    headers_ = 0;
}

}  // namespace berth::net
