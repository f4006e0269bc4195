#include "image/proxy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

#include "base/text.h"
#include "image/address.h"

namespace berth::image {
namespace {

constexpr std::string_view kNeverProxied = "localhost,127.0.0.0/8,::1";

std::string host_of(std::string_view url) {
    const std::size_t scheme = url.find("://");
    if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
    url = url.substr(0, url.find_first_of("/?#"));
    const std::size_t user = url.rfind('@');
    return std::string(user == std::string_view::npos ? url : url.substr(user + 1));
}

bool matches(std::string entry, const std::string& host) {
    const std::string name = without_port(host);
    const auto address = parse_address(name);
    if (entry == "*" || entry == name || entry == host) return true;
    if (address && in_network(*address, entry)) return true;
    if (address && address == parse_address(entry)) return true;
    // Only a whole IPv6 literal has several colons without being "host:port".
    if (!parse_address(entry) && without_port(entry) != entry) {
        if (!host.ends_with(entry.substr(without_port(entry).size()))) return false;
        entry = without_port(entry);
        if (entry == name) return true;
    }
    if (address) return false;
    if (entry.starts_with('*')) entry.erase(0, 1);
    if (entry.starts_with('.')) return entry.size() > 1 && name.ends_with(entry);
    return !entry.empty() && name.ends_with("." + entry);
}

}  // namespace

bool is_unproxied(std::string_view list, const std::string& host) {
    const std::string wanted = to_lower(host);
    while (!list.empty()) {
        const std::size_t end = std::min(list.find_first_of(", \t"), list.size());
        const std::string entry = to_lower(list.substr(0, end));
        if (!entry.empty() && matches(entry, wanted)) return true;
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

std::string no_proxy_list(const RegistrySettings& settings) {
    std::string result(kNeverProxied);
    if (!settings.no_proxy.empty()) return result + "," + settings.no_proxy;
    for (const char* name : {"no_proxy", "NO_PROXY"})
        if (const char* value = ::secure_getenv(name)) return result + "," + value;
    return result;
}

std::string proxy_for(const RegistrySettings& settings, std::string_view url) {
    if (is_unproxied(no_proxy_list(settings), host_of(url))) return "";
    const bool secure = url.starts_with("https:");
    const std::string& configured = secure ? settings.https_proxy : settings.http_proxy;
    if (!configured.empty()) return configured;
    const std::array<const char*, 2> names =
        secure ? std::array{"https_proxy", "HTTPS_PROXY"} : std::array{"http_proxy", "HTTP_PROXY"};
    for (const char* name : names)
        if (const char* value = ::secure_getenv(name)) return value;
    return "";
}

}  // namespace berth::image
