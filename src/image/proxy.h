// Which proxy an URL is fetched through. NO_PROXY is read as Go programs (docker) read it: names
// with their subdomains, ".name" and "*.name", addresses, networks, each optionally with a port.
// libcurl knows neither ports nor, before 7.86, networks.
#pragma once

#include <string>
#include <string_view>

#include "image/registry_settings.h"

namespace berth::image {

/// Empty: none. From the settings, else from the environment. Loopback is never proxied.
std::string proxy_for(const RegistrySettings& settings, std::string_view url);
/// The list for libcurl, which asks again at redirects.
std::string no_proxy_list(const RegistrySettings& settings);
/// `host` as in an URL, with port; `list` as in NO_PROXY. Pure.
bool is_unproxied(std::string_view list, const std::string& host);

}  // namespace berth::image
