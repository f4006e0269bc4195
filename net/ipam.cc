#include "net/ipam.h"

#include <arpa/inet.h>
#include <fmt/ranges.h>
#include <sys/random.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"

namespace berth::net {
namespace {

bool is_free(const Subnet& wanted, std::span<const Subnet> taken) {
    return std::ranges::none_of(taken, [&](const Subnet& other) { return other.overlaps(wanted); });
}

/// The end of the widest of `taken` that overlaps `wanted`, or of `wanted` itself.
Bits128 end_of_overlap(const Subnet& wanted, std::span<const Subnet> taken) {
    Bits128 end = wanted.last().value;
    for (const Subnet& other : taken)
        if (other.overlaps(wanted)) end = std::max(end, other.last().value);
    return end;
}

}  // namespace

std::vector<PoolSource> default_pools() {
    std::vector<PoolSource> pools;
    for (int second = 17; second <= 31; ++second)
        pools.push_back({Subnet::parse(fmt::format("172.{}.0.0/16", second)), 16});
    pools.push_back({Subnet::parse("192.168.0.0/16"), 20});
    return pools;
}

Subnet pick_subnet(std::span<const PoolSource> sources, std::span<const Subnet> used,
                   std::span<const Subnet> host_routes) {
    for (const PoolSource& source : sources) {
        const int width = bits_of(source.base.address.family);
        if (source.size < source.base.prefix || source.size > width) continue;
        const IpAddress end = source.base.last();
        for (IpAddress at = source.base.first();;) {
            const Subnet candidate = Subnet{at, source.size}.network();
            if (is_free(candidate, used) && is_free(candidate, host_routes)) return candidate;
            // A route may cover more subnets than anybody can count.
            const Bits128 passed =
                std::max(end_of_overlap(candidate, used), end_of_overlap(candidate, host_routes));
            if (passed >= end.value) break;
            at.value = passed + 1;
        }
    }
    throw Error(ErrorKind::unavailable, "all predefined address pools have been fully subnetted");
}

void check_no_overlap(const Subnet& wanted, std::span<const Subnet> used) {
    if (!is_free(wanted, used))
        throw Error(ErrorKind::denied, "Pool overlaps with other one on this address space");
}

PoolSource unique_local_pool(std::string_view seed) {
    const std::uint64_t hash = fnv1a(seed);
    // fd, then 40 bits that differ from machine to machine (RFC 4193).
    const Bits128 global = (Bits128{0xfd} << 40) | (hash & 0xff'ffff'ffff);
    return {{{IpFamily::v6, global << 80}, 48}, 64};
}

AddressPool::AddressPool(const Subnet& subnet, std::optional<Subnet> range,
                         std::optional<IpAddress> gateway)
    : subnet_(subnet.network()), range_(range ? range->network() : subnet_) {
    if (!subnet_.contains(range_.first()) || !subnet_.contains(range_.last()))
        throw Error(ErrorKind::invalid, "address range {} is not in subnet {}", range_.str(),
                    subnet_.str());
    gateway_ = gateway.value_or(IpAddress{subnet_.address.family, subnet_.first().value + 1});
    if (!subnet_.contains(gateway_))
        throw Error(ErrorKind::invalid, "gateway {} is not in subnet {}", gateway_.str(),
                    subnet_.str());
    taken_.insert(gateway_.value);
    last_given_ = {range_.address.family, range_.first().value};
    // With a narrowed range its first address is as good as the others.
    if (range_ != subnet_ && is_usable(last_given_)) last_given_ = range_.last();
}

bool AddressPool::is_usable(const IpAddress& address) const {
    if (taken_.contains(address.value)) return false;
    const bool point_to_point = subnet_.prefix >= bits_of(subnet_.address.family) - 1;
    return point_to_point || (address != subnet_.first() && address != subnet_.last());
}

IpAddress AddressPool::allocate() {
    const IpAddress start = last_given_;
    IpAddress at = start;
    // At most as many steps as addresses are taken, and the two that never are usable.
    do {
        at.value = at.value >= range_.last().value ? range_.first().value : at.value + 1;
        if (is_usable(at)) {
            taken_.insert(at.value);
            last_given_ = at;
            return at;
        }
    } while (at != start);
    throw Error(ErrorKind::unavailable, "no available {} addresses on this network's address pools",
                subnet_.address.family == IpFamily::v4 ? "IPv4" : "IPv6");
}

void AddressPool::reserve(const IpAddress& address) {
    if (!subnet_.contains(address))
        throw Error(ErrorKind::invalid,
                    "no configured subnet or ip-range contain the IP address {}", address.str());
    // The network's own and the broadcast address belong to no host; IPv6 has neither.
    const bool is_host = subnet_.address.family == IpFamily::v6 || is_usable(address);
    if (!is_host || !taken_.insert(address.value).second)
        throw Error(ErrorKind::denied, "Address already in use");
}

void AddressPool::exclude(const IpAddress& address) { taken_.insert(address.value); }

void AddressPool::adopt(const IpAddress& address) {
    taken_.insert(address.value);
    if (range_.contains(address) &&
        (last_given_ == range_.last() || address.value > last_given_.value))
        last_given_ = address;
}

void AddressPool::release(const IpAddress& address) {
    if (address != gateway_) taken_.erase(address.value);
}

std::string mac_from_address(const IpAddress& address) {
    const auto byte = [&](int shift) {
        return static_cast<unsigned>(address.value >> shift) & 255;
    };
    return fmt::format("02:42:{:02x}:{:02x}:{:02x}:{:02x}", byte(24), byte(16), byte(8), byte(0));
}

std::string random_mac() {
    std::array<std::uint8_t, 4> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw_errno("reading random bytes");
    return fmt::format("02:42:{:02x}", fmt::join(bytes, ":"));
}

void check_mac(std::string_view text) {
    const auto is_hex = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    bool good = text.size() == 17;
    for (std::size_t i = 0; good && i < text.size(); ++i)
        good = i % 3 == 2 ? text[i] == ':' : is_hex(text[i]);
    if (!good) throw Error(ErrorKind::invalid, "invalid MAC address: {}", text);
}

}  // namespace berth::net
