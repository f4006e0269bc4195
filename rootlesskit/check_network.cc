// Judges what containers' networks need of the host, and puts the whole list together. Pure.
#include <fmt/ranges.h>

#include <algorithm>

#include "rootlesskit/host_facts.h"

namespace berth::rootlesskit {
namespace {

constexpr std::int64_t kWebPort = 80;

std::vector<std::string> restore_resolver(const ResolverFacts& resolver) {
    if (!resolver.other_file.empty())
        return {fmt::format("sudo ln -sf {} /etc/resolv.conf", resolver.other_file)};
    return {"echo nameserver 9.9.9.9 | sudo tee /etc/resolv.conf"};
}

}  // namespace

Finding check_ports(const HostFacts& facts) {
    const std::string name = "ports";
    const auto first = facts.network.first_port;
    if (first && *first > kWebPort)
        return trouble(State::degraded, name,
                       fmt::format("ports below {} cannot be published "
                                   "(net.ipv4.ip_unprivileged_port_start)",
                                   *first),
                       set_switch("net.ipv4.ip_unprivileged_port_start", "80"));
    return fine(name, fmt::format("from {} on can be published", first.value_or(0)));
}

Finding check_ping(const HostFacts& facts) {
    const std::string name = "ping";
    const auto range = facts.network.ping_groups;
    const auto gid = static_cast<std::int64_t>(facts.start.gid);
    if (range && (gid < range->first || gid > range->second))
        return trouble(
            State::degraded, name,
            fmt::format("ping from containers reaches nobody outside: group {} is not "
                        "in net.ipv4.ping_group_range",
                        gid),
            set_switch("net.ipv4.ping_group_range", fmt::format("0 {}", facts.network.last_group)));
    return fine(name, "allowed for the user's group");
}

Finding check_resolver(const HostFacts& facts) {
    const std::string name = "resolver";
    const ResolverFacts& resolver = facts.network.resolver;
    if (!resolver.present || resolver.servers.empty())
        return trouble(State::degraded, name,
                       fmt::format("/etc/resolv.conf {}: containers cannot resolve names",
                                   resolver.present ? "names no server" : "is absent"),
                       restore_resolver(resolver));
    if (resolver.silent.size() < resolver.servers.size())
        return fine(name, fmt::format("{}", fmt::join(resolver.servers, ", ")));
    const std::string cause = fmt::format(
        "nothing answers at {}, the only server in /etc/resolv.conf: names cannot be "
        "resolved",
        fmt::join(resolver.silent, ", "));
    constexpr std::string_view kResolved = "127.0.0.5";  // .53 and .54 are systemd-resolved's
    if (resolver.silent.front().starts_with(kResolved))
        return trouble(State::degraded, name, cause, {"sudo systemctl restart systemd-resolved"});
    return trouble(State::degraded, name, cause, restore_resolver(resolver));
}

Finding check_route(const HostFacts& facts) {
    const std::string name = "route";
    if (facts.network.default_route) return fine(name, "there is a default route");
    return trouble(State::degraded, name,
                   "the host has no default route: containers reach nothing outside until it has "
                   "one (no restart is needed then)");
}

std::vector<Finding> examine(const HostFacts& facts) {
    std::vector<Finding> findings = check(facts.start);
    if (facts.start.host_root) return findings;
    for (const auto judge :
         {check_kernel, check_namespaces, check_apparmor, check_nested, check_limits,
          check_runtime_directory, check_data_directory, check_disk_space, check_storage,
          check_ports, check_ping, check_resolver, check_route})
        findings.push_back(judge(facts));
    return findings;
}

}  // namespace berth::rootlesskit
