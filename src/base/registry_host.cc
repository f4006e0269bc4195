#include "base/registry_host.h"

#include <algorithm>

namespace berth {

std::string_view registry_host_of(std::string_view name) {
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos) return {};
    const std::string_view first = name.substr(0, slash);
    // Names of users at Docker Hub have no capitals.
    const bool has_capital =
        std::ranges::any_of(first, [](char c) { return c >= 'A' && c <= 'Z'; });
    const bool is_host =
        first.find_first_of(".:") != std::string_view::npos || first == "localhost" || has_capital;
    return is_host ? first : std::string_view();
}

std::string host_of_server(std::string_view server) {
    if (const std::size_t scheme = server.find("://"); scheme != std::string_view::npos)
        server.remove_prefix(scheme + 3);
    return std::string(server.substr(0, server.find('/')));
}

}  // namespace berth
