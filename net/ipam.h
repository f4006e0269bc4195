// Address management of bridge networks, pure: which subnet a new network gets, which address a
// container gets, and its MAC. The engine owns the pools and persists what was given out; nothing
// here does IO. Not thread-safe. Errors carry the texts Docker clients know.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace berth::net {

/// A base range that is cut into subnets of `size` bits of prefix (daemon.json
/// `default-address-pools`).
struct PoolSource final {
    Subnet base;
    int size = 0;
};

/// 172.17.0.0/16 … 172.31.0.0/16 as /16, then 192.168.0.0/16 as /20.
std::vector<PoolSource> default_pools();
/// The first subnet of `sources` that overlaps neither a network nor a route of the host. Throws
/// Error{unavailable} "all predefined address pools have been fully subnetted".
Subnet pick_subnet(std::span<const PoolSource> sources, std::span<const Subnet> used,
                   std::span<const Subnet> host_routes);
/// Throws Error{denied} "Pool overlaps with other one on this address space".
void check_no_overlap(const Subnet& wanted, std::span<const Subnet> used);
/// A /48 of unique local addresses that is always the same for `seed` (the engine's id): where
/// networks without an IPv6 subnet of their own get one, 64 bits each.
PoolSource unique_local_pool(std::string_view seed);

/// The addresses of one network. Given out serially; a released address is used again only after
/// all others (the search goes on behind the last one given out, and wraps around).
class AddressPool final {
  public:
    /// `range` narrows automatic allocation; the gateway is the first address unless given.
    explicit AddressPool(const Subnet& subnet, std::optional<Subnet> range = {},
                         std::optional<IpAddress> gateway = {});

    const Subnet& subnet() const { return subnet_; }
    const IpAddress& gateway() const { return gateway_; }
    /// Takes an address for something that is no container (a router, say).
    void exclude(const IpAddress& address);
    /// Throws Error{unavailable} "no available IPv4 addresses on this network's address pools".
    IpAddress allocate();
    /// Takes one address. Throws Error{denied} "Address already in use", Error{invalid} when it is
    /// outside the subnet.
    void reserve(const IpAddress& address);
    /// As reserve, for what is known to be in use after a restart: moves the search on as well.
    void adopt(const IpAddress& address);
    /// An address that is free already is fine.
    void release(const IpAddress& address);
    /// The address with the subnet's prefix, as an interface wants it.
    Subnet with_prefix(const IpAddress& address) const { return {address, subnet_.prefix}; }

  private:
    bool is_usable(const IpAddress& address) const;

    Subnet subnet_;
    Subnet range_;
    IpAddress gateway_;
    IpAddress last_given_;
    std::set<Bits128> taken_;
};

/// 02:42 and the four bytes of an IPv4 address, as Docker up to 27 did it.
std::string mac_from_address(const IpAddress& address);
/// A random locally administered unicast address that begins with 02:42.
std::string random_mac();
/// Throws Error{invalid} unless `text` is six hexadecimal bytes separated by colons.
void check_mac(std::string_view text);

}  // namespace berth::net
