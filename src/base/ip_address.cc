#include "base/ip_address.h"

#include <arpa/inet.h>

#include <array>

#include "base/error.h"
#include "base/number.h"

namespace berth {
namespace {

Bits128 host_mask(const Subnet& subnet) {
    const int host_bits = bits_of(subnet.address.family) - subnet.prefix;
    if (host_bits >= 128) return ~Bits128{0};
    return (Bits128{1} << host_bits) - 1;
}

template <std::size_t N>
Bits128 from_network_order(const std::array<std::uint8_t, N>& bytes) {
    Bits128 value = 0;
    for (const std::uint8_t byte : bytes) value = (value << 8) | byte;
    return value;
}

}  // namespace

int bits_of(IpFamily family) { return family == IpFamily::v4 ? 32 : 128; }

std::optional<IpAddress> IpAddress::from(std::string_view text) {
    const std::string copy(text);
    std::array<std::uint8_t, 4> v4{};
    if (::inet_pton(AF_INET, copy.c_str(), v4.data()) == 1)
        return IpAddress{IpFamily::v4, from_network_order(v4)};
    std::array<std::uint8_t, 16> v6{};
    if (::inet_pton(AF_INET6, copy.c_str(), v6.data()) == 1)
        return IpAddress{IpFamily::v6, from_network_order(v6)};
    return std::nullopt;
}

IpAddress IpAddress::parse(std::string_view text) {
    if (const auto address = from(text)) return *address;
    throw Error(ErrorKind::invalid, "invalid IP address: {}", text);
}

std::string IpAddress::str() const {
    std::array<std::uint8_t, 16> bytes{};
    const int length = bits_of(family) / 8;
    for (int i = 0; i < length; ++i)
        bytes[static_cast<std::size_t>(i)] =
            static_cast<std::uint8_t>(value >> (8 * (length - 1 - i)));
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(family == IpFamily::v4 ? AF_INET : AF_INET6, bytes.data(), text.data(),
                text.size());
    return text.data();
}

std::optional<Subnet> Subnet::from(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = IpAddress::from(text.substr(0, slash));
    const auto prefix = whole_number<int>(text.substr(slash + 1));
    if (!address || !prefix || *prefix < 0 || *prefix > bits_of(address->family))
        return std::nullopt;
    return Subnet{*address, *prefix};
}

Subnet Subnet::parse(std::string_view text) {
    if (const auto subnet = from(text)) return *subnet;
    throw Error(ErrorKind::invalid, "invalid CIDR address: {}", text);
}

std::string Subnet::str() const { return fmt::format("{}/{}", address.str(), prefix); }

Subnet Subnet::network() const { return {first(), prefix}; }

IpAddress Subnet::first() const { return {address.family, address.value & ~host_mask(*this)}; }

IpAddress Subnet::last() const {
    const IpAddress start = first();
    return {start.family, start.value | host_mask(*this)};
}

bool Subnet::contains(const IpAddress& other) const {
    return other.family == address.family && other.value >= first().value &&
           other.value <= last().value;
}

bool Subnet::overlaps(const Subnet& other) const {
    return other.address.family == address.family && first().value <= other.last().value &&
           other.first().value <= last().value;
}

}  // namespace berth
