#include "api/router.h"

#include <utility>

#include "linux/rooted_path.h"

namespace berth::api {

std::string clean_path(std::string_view path) {
    const auto has = [&](std::string_view part) { return path.find(part) != path.npos; };
    if (path.starts_with('/') && !has("//") && !has("/.")) return std::string(path);  // nearly all
    std::string clean = linux_os::clean_path(path);
    if (path.ends_with('/') && path != "/" && clean != "/") clean += '/';
    return clean;
}

void Router::add(std::string_view method, std::string_view pattern, Handler handler) {
    Route route;
    route.method = method;
    route.handler = handler;
    const auto open = pattern.find('{');
    route.prefix = pattern.substr(0, open);
    if (open != std::string_view::npos) {
        const auto close = pattern.find('}', open);
        const bool greedy = pattern.substr(open, close - open).ends_with("...");
        route.variable = greedy ? Variable::greedy : Variable::segment;
        route.suffix = pattern.substr(close + 1);
    }
    routes_.push_back(std::move(route));
}

bool Router::matches(const Route& route, std::string_view path) {
    if (route.variable == Variable::none) return path == route.prefix;
    if (path.size() <= route.prefix.size() + route.suffix.size()) return false;
    if (!path.starts_with(route.prefix) || !path.ends_with(route.suffix)) return false;
    if (route.variable == Variable::greedy) return true;
    path.remove_prefix(route.prefix.size());
    path.remove_suffix(route.suffix.size());
    return path.find('/') == std::string_view::npos;
}

std::optional<Router::Match> Router::find(std::string_view method, std::string_view path) const {
    const auto weight = [](const Route& route) {
        const bool fixed = route.variable == Variable::none;
        return std::pair(fixed, route.prefix.size() + route.suffix.size());
    };
    const Route* best = nullptr;
    for (const Route& route : routes_) {
        if (route.method != method || !matches(route, path)) continue;
        if (best == nullptr || weight(route) > weight(*best)) best = &route;
    }
    if (best == nullptr) return std::nullopt;
    Match match;
    match.handler = best->handler;
    if (best->variable != Variable::none)
        match.name = path.substr(best->prefix.size(),
                                 path.size() - best->prefix.size() - best->suffix.size());
    return match;
}

}  // namespace berth::api
