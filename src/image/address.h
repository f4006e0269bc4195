// Internet addresses as insecure-registries and NO_PROXY name them: literals and CIDR networks.
// Pure, but for addresses_of(), which asks the resolver.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace berth::image {

/// An address as 16 bytes, IPv4 in its mapped form.
using AddressBytes = std::array<unsigned char, 16>;

/// A literal, IPv6 with or without brackets; nothing for a name.
std::optional<AddressBytes> parse_address(std::string text);
/// False for what is no network.
bool in_network(const AddressBytes& address, const std::string& cidr);
/// "[::1]:5000" → "[::1]"
std::string without_port(const std::string& host);
/// The addresses behind a name; none when it does not resolve (the transfer then says so).
std::vector<AddressBytes> addresses_of(const std::string& host);

}  // namespace berth::image
