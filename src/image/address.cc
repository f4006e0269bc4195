#include "image/address.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace berth::image {
namespace {

constexpr int kMappedBits = 96;  // of ::ffff:0:0/96

}  // namespace

std::optional<AddressBytes> parse_address(std::string text) {
    if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    AddressBytes bytes{};
    if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return bytes;
    bytes = {};
    bytes[10] = bytes[11] = 0xff;
    if (::inet_pton(AF_INET, text.c_str(), bytes.data() + 12) == 1) return bytes;
    return std::nullopt;
}

bool in_network(const AddressBytes& address, const std::string& cidr) {
    const std::size_t slash = cidr.find('/');
    if (slash == std::string::npos) return false;
    const auto network = parse_address(cidr.substr(0, slash));
    int bits = -1;
    std::from_chars(cidr.data() + slash + 1, cidr.data() + cidr.size(), bits);
    if (!network || bits < 0) return false;
    if (cidr.find(':') == std::string::npos) bits += kMappedBits;
    for (int bit = 0; bit < std::min(bits, 128); ++bit) {
        const auto byte = static_cast<std::size_t>(bit / 8);
        if ((address[byte] ^ (*network)[byte]) >> (7 - bit % 8) & 1) return false;
    }
    return true;
}

std::string without_port(const std::string& host) {
    const std::size_t colon = host.rfind(':');
    const bool has_port = colon != std::string::npos && !host.ends_with(']');
    return has_port ? host.substr(0, colon) : host;
}

std::vector<AddressBytes> addresses_of(const std::string& host) {
    if (const auto literal = parse_address(host)) return {*literal};
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return {};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, ::freeaddrinfo);
    std::vector<AddressBytes> result;
    for (const addrinfo* item = list; item != nullptr; item = item->ai_next) {
        std::array<char, NI_MAXHOST> text{};
        if (::getnameinfo(item->ai_addr, item->ai_addrlen, text.data(), text.size(), nullptr, 0,
                          NI_NUMERICHOST) != 0)
            continue;
        if (const auto bytes = parse_address(text.data())) result.push_back(*bytes);
    }
    return result;
}

}  // namespace berth::image
