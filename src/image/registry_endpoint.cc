#include "image/registry_endpoint.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

namespace berth::image {
namespace {

/// An address as 16 bytes, IPv4 in its mapped form.
using AddressBytes = std::array<unsigned char, 16>;
constexpr int kMappedBits = 96;

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

/// The addresses behind a name; none when it does not resolve (the transfer then says so).
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

RegistryEndpoint mirror_endpoint(const RegistrySettings& settings, std::string url) {
    while (url.ends_with('/')) url.pop_back();
    const std::size_t scheme = url.find("://");
    const std::string host = scheme == std::string::npos ? url : url.substr(scheme + 3);
    if (scheme == std::string::npos) url.insert(0, "https://");
    const TlsCheck check = is_insecure(settings, host) ? TlsCheck::accept_any : TlsCheck::verify;
    return {url, host, check, RegistryEndpoint::Role::mirror};
}

}  // namespace

bool is_insecure(const RegistrySettings& settings, const std::string& host) {
    if (std::ranges::find(settings.insecure_registries, host) != settings.insecure_registries.end())
        return true;
    const std::vector<AddressBytes> addresses = addresses_of(without_port(host));
    std::vector<std::string> networks{"127.0.0.0/8", "::1/128"};
    networks.insert(networks.end(), settings.insecure_registries.begin(),
                    settings.insecure_registries.end());
    return std::ranges::any_of(addresses, [&](const AddressBytes& address) {
        return std::ranges::any_of(
            networks, [&](const std::string& network) { return in_network(address, network); });
    });
}

std::vector<RegistryEndpoint> endpoints_of(const RegistrySettings& settings,
                                           const Reference& reference) {
    using enum RegistryEndpoint::Role;
    std::vector<RegistryEndpoint> result;
    if (reference.domain() == "docker.io") {
        for (const std::string& mirror : settings.mirrors)
            result.push_back(mirror_endpoint(settings, mirror));
        result.push_back(
            {"https://registry-1.docker.io", "registry-1.docker.io", TlsCheck::verify, registry});
        return result;
    }
    const std::string& host = reference.domain();
    if (!is_insecure(settings, host)) {
        result.push_back({"https://" + host, host, TlsCheck::verify, registry});
        return result;
    }
    result.push_back({"https://" + host, host, TlsCheck::accept_any, registry});
    result.push_back({"http://" + host, host, TlsCheck::accept_any, registry});
    return result;
}

}  // namespace berth::image
