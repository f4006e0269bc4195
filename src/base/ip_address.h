// IP addresses and subnets as plain values. Pure. parse() throws Error{invalid} naming the text,
// from() gives nothing for a text that is none.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace berth {

__extension__ typedef unsigned __int128 Bits128;

enum class IpFamily { v4, v6 };

/// An IPv4 or IPv6 address; the value is in host order, in the low bits.
struct IpAddress final {
    IpFamily family = IpFamily::v4;
    Bits128 value = 0;

    static IpAddress parse(std::string_view text);
    static std::optional<IpAddress> from(std::string_view text);
    static bool is_valid(std::string_view text) { return from(text).has_value(); }
    std::string str() const;
    bool is_any() const { return value == 0; }
    auto operator<=>(const IpAddress&) const = default;
};

/// Width of an address in bits: 32 or 128.
int bits_of(IpFamily family);

/// An address with a prefix length. As a network its host bits are zero (`network()`), as an
/// interface address they are kept ("172.17.0.2/16").
struct Subnet final {
    IpAddress address;
    int prefix = 0;

    static Subnet parse(std::string_view text);
    static std::optional<Subnet> from(std::string_view text);
    std::string str() const;
    Subnet network() const;
    IpAddress first() const;  // all host bits zero
    IpAddress last() const;   // all host bits one
    bool contains(const IpAddress& other) const;
    bool overlaps(const Subnet& other) const;
    auto operator<=>(const Subnet&) const = default;
};

}  // namespace berth
