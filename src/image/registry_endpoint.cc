#include "image/registry_endpoint.h"

#include <algorithm>

#include "image/address.h"

namespace berth::image {
namespace {

RegistryEndpoint mirror_endpoint(const RegistrySettings& settings, std::string url) {
    while (url.ends_with('/')) url.pop_back();
    const std::size_t scheme = url.find("://");
    std::string host = scheme == std::string::npos ? url : url.substr(scheme + 3);
    host.resize(std::min(host.find('/'), host.size()));
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

std::vector<RegistryEndpoint> endpoints_of_host(const RegistrySettings& settings,
                                                const std::string& host) {
    using enum RegistryEndpoint::Role;
    if (host == "docker.io" || host == "index.docker.io")
        return {
            {"https://registry-1.docker.io", "registry-1.docker.io", TlsCheck::verify, registry}};
    if (!is_insecure(settings, host))
        return {{"https://" + host, host, TlsCheck::verify, registry}};
    return {{"https://" + host, host, TlsCheck::accept_any, registry},
            {"http://" + host, host, TlsCheck::accept_any, registry}};
}

std::vector<RegistryEndpoint> endpoints_of(const RegistrySettings& settings,
                                           const Reference& reference) {
    std::vector<RegistryEndpoint> result;
    if (reference.domain() == "docker.io")
        for (const std::string& mirror : settings.mirrors)
            result.push_back(mirror_endpoint(settings, mirror));
    const std::vector<RegistryEndpoint> own = endpoints_of_host(settings, reference.domain());
    result.insert(result.end(), own.begin(), own.end());
    return result;
}

}  // namespace berth::image
