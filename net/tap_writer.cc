#include "net/tap_writer.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <span>

namespace berth::net {
namespace {

constexpr std::size_t kHeader4 = 20;
constexpr std::size_t kHeader6 = 40;
constexpr std::size_t kTcpHeader = 20;
constexpr std::size_t kTcp4 = ETH_HLEN + kHeader4;
constexpr std::size_t kTcp6 = ETH_HLEN + kHeader6;
constexpr std::size_t kMaxHeaders = kTcp6 + 60;
// Of other frames, this much lies in the packet's first page and the rest in pages: otherwise the
// kernel looks for as many pages in a row.
constexpr std::size_t kLinear = 128;
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kSegmentOption = 2;

// In an Ethernet frame without options and extension headers, which libslirp never sends.
enum Offset : std::size_t {
    protocol = 12,
    length4 = ETH_HLEN + 2,
    fragment = ETH_HLEN + 6,
    transport4 = ETH_HLEN + 9,
    addresses4 = ETH_HLEN + 12,
    length6 = ETH_HLEN + 4,
    transport6 = ETH_HLEN + 6,
    addresses6 = ETH_HLEN + 8,
};
// From the TCP header on.
enum TcpOffset : std::size_t { data = 12, flags_at = 13, sum_at = 16 };

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

// What a container may send is bound by the device, not by what libslirp sends itself; but IPv6
// packets past its MTU it refuses. Its only option comes first.
void raise_announced_segment(std::span<std::uint8_t> headers, std::size_t tcp, std::size_t mtu) {
    const std::size_t option = tcp + kTcpHeader;
    if (tcp != kTcp4 || headers.size() < option + 4 || headers[option] != kSegmentOption) return;
    const std::size_t largest = mtu - (option - ETH_HLEN);
    set16(headers, option + 2, static_cast<std::uint16_t>(largest));
}

// The kernel needs the sum of the pseudo header, as of a packet whose checksum a card will compute:
// so it can still be completed should it ever leave the machine.
void sum_pseudo_header(std::span<std::uint8_t> headers, std::size_t tcp, std::size_t length) {
    const std::size_t addresses = tcp == kTcp4 ? addresses4 : addresses6;
    const std::uint32_t pseudo = sum(PacketBytes(headers).subspan(addresses, tcp - addresses)) +
                                 static_cast<std::uint32_t>(length) + IPPROTO_TCP;
    set16(headers, tcp + sum_at, folded(pseudo));
}

}  // namespace

TapWriter::TapWriter(BorrowedFd tap, int mtu) : tap_(tap), mtu_(static_cast<std::size_t>(mtu)) {}

void TapWriter::send(PacketBytes frame) const {
    OffloadHeader hints{};
    const std::size_t tcp = find_tcp(frame);
    const std::size_t size = tcp == 0 ? 0 : tcp + std::size_t{frame[tcp + data]} / 16 * 4;
    if (size < tcp + kTcpHeader || size > frame.size()) {
        hints.headers = static_cast<std::uint16_t>(std::min(frame.size(), kLinear));
        return write_all_of(tap_, hints, frame, {});
    }
    std::array<std::uint8_t, kMaxHeaders> copy;
    std::ranges::copy(frame.first(size), copy.begin());
    const std::span<std::uint8_t> headers = std::span(copy).first(size);
    if (headers[tcp + flags_at] & kSyn) raise_announced_segment(headers, tcp, mtu_);
    sum_pseudo_header(headers, tcp, frame.size() - tcp);
    hints.flags = OffloadHeader::kNeedsChecksum;
    hints.sum_from = static_cast<std::uint16_t>(tcp);
    hints.sum_at = sum_at;
    hints.headers = static_cast<std::uint16_t>(size);
    write_all_of(tap_, hints, headers, frame.subspan(size));
}

}  // namespace berth::net
