// Frames of libslirp towards the TAP device, made cheap for the kernel by the header that virtual
// machines use: checksums just computed in this process are not verified again,
// and consecutive segments of a TCP connection go as one packet, which crosses routing, rules and
// bridge once. One thread.
#pragma once

#include <memory>
#include <optional>

#include "base/unique_fd.h"
#include "net/packet_bytes.h"

namespace berth::net {

/// virtio_net_hdr as the kernel takes it; <linux/virtio_net.h> cannot be read by C++.
struct OffloadHeader final {
    static constexpr std::uint8_t kNeedsChecksum = 1;
    enum Kind : std::uint8_t { one_packet = 0, tcp4_segments = 1, tcp6_segments = 4 };
    std::uint8_t flags = 0;
    std::uint8_t kind = one_packet;
    std::uint16_t headers = 0;   // their size
    std::uint16_t segment = 0;   // payload of each
    std::uint16_t sum_from = 0;  // the checksum covers the rest of the packet
    std::uint16_t sum_at = 0;    // and lies there, counted from sum_from
};
static_assert(sizeof(OffloadHeader) == 10);

/// An MTU with which two of libslirp's segments and their headers make one packet, in either
/// family. With a larger one it takes 32768 bytes, of which two are too much.
constexpr int kPairedMtu = 32740;

class TapWriter final {
  public:
    /// A device of that MTU, which takes frames behind an OffloadHeader; outlives the writer.
    TapWriter(BorrowedFd tap, int mtu);

    /// Writes a frame, or keeps it for the segment that continues it. A frame that the device does
    /// not take is lost, as on any wire.
    void send(PacketBytes frame);
    /// Writes what was kept. False: there was nothing.
    bool flush();

  private:
    struct Segment final {
        PacketBytes headers;
        PacketBytes payload;
        std::size_t tcp = 0;  // where the TCP header begins
        std::uint8_t flags() const { return headers[tcp + 13]; }
    };
    static std::optional<Segment> as_segment(PacketBytes frame);
    bool continues(const Segment& segment) const;
    bool has_room(std::size_t more) const;
    void begin(const Segment& segment);
    void append(PacketBytes payload);
    void finish(PacketBytes rest);
    void raise_announced_segment();
    void complete_headers(std::size_t payload);
    std::span<std::uint8_t> headers() const { return {buffer_.get(), headers_}; }

    BorrowedFd tap_;
    std::size_t mtu_;
    std::unique_ptr<std::uint8_t[]> buffer_;  // the packet that is kept: headers and payload
    std::size_t headers_ = 0;                 // their size; 0: nothing is kept
    std::size_t payload_ = 0;
    std::size_t segment_ = 0;  // payload of its first segment
    std::size_t tcp_ = 0;
};

}  // namespace berth::net
