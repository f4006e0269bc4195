// Frames of libslirp towards the TAP device, behind the header that virtual machines use: it tells
// the kernel that checksums just computed in this process need not be verified again.
#pragma once

#include <cstdint>

#include "base/unique_fd.h"
#include "net/packet_bytes.h"

namespace berth::net {

/// virtio_net_hdr as the kernel takes it; <linux/virtio_net.h> cannot be read by C++.
struct OffloadHeader final {
    static constexpr std::uint8_t kNeedsChecksum = 1;
    std::uint8_t flags = 0;
    std::uint8_t kind = 0;       // one packet, not several segments
    std::uint16_t headers = 0;   // their size
    std::uint16_t segment = 0;   // payload of each, were there several
    std::uint16_t sum_from = 0;  // the checksum covers the rest of the packet
    std::uint16_t sum_at = 0;    // and lies there, counted from sum_from
};
static_assert(sizeof(OffloadHeader) == 10);

class TapWriter final {
  public:
    /// A device of that MTU, which takes frames behind an OffloadHeader; outlives the writer.
    TapWriter(BorrowedFd tap, int mtu);

    /// A frame that the device does not take is lost, as on any wire.
    void send(PacketBytes frame) const;

  private:
    BorrowedFd tap_;
    std::size_t mtu_;
};

}  // namespace berth::net
