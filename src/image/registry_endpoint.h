// Which URLs serve a repository, in the order to try: mirrors (docker.io only), https, and http
// where that is allowed.
#pragma once

#include <string>
#include <vector>

#include "image/reference.h"
#include "image/registry_settings.h"
#include "image/transport.h"

namespace berth::image {

struct RegistryEndpoint final {
    std::string base;  // "https://registry-1.docker.io", no slash at the end
    std::string host;  // with port, as certs.d names it
    TlsCheck check = TlsCheck::verify;
    enum class Role { registry, mirror } role = Role::registry;
};

/// True for loopback and for what the settings list, by name or network.
bool is_insecure(const RegistrySettings& settings, const std::string& host);
/// Of the registry itself. Docker Hub's host is "docker.io" or "index.docker.io".
std::vector<RegistryEndpoint> endpoints_of_host(const RegistrySettings& settings,
                                                const std::string& host);
std::vector<RegistryEndpoint> endpoints_of(const RegistrySettings& settings,
                                           const Reference& reference);

}  // namespace berth::image
