// Numbers in network order within a packet, and the sum that Internet checksums are made of
// (RFC 1071). Offsets must lie within the bytes. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace berth::net {

using PacketBytes = std::span<const std::uint8_t>;

inline std::uint16_t get16(PacketBytes bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

inline std::uint32_t get32(PacketBytes bytes, std::size_t at) {
    return std::uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}

inline void set16(std::span<std::uint8_t> bytes, std::size_t at, std::uint16_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

inline std::uint32_t sum(PacketBytes bytes) {
    std::uint32_t total = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) total += get16(bytes, i);
    if (bytes.size() % 2 == 1) total += std::uint32_t{bytes.back()} << 8;
    return total;
}

inline std::uint16_t folded(std::uint32_t total) {
    while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
    return static_cast<std::uint16_t>(total);
}

/// The checksum of what sums up to `total`.
inline std::uint16_t checksum(std::uint32_t total) {
    return static_cast<std::uint16_t>(~folded(total));
}

}  // namespace berth::net
