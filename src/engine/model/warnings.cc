#include "engine/model/warnings.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/model/resources.h"
#include "net/dns_names.h"

namespace berth::engine::model {

using nlohmann::json;

namespace {

using Lines = std::vector<std::string>;

/// Fields that nothing acts on, with the reason. DeviceRequests and StorageOpt are refused instead.
void add_passive(const HostConfig& host, Lines& lines) {
    static const std::map<std::string, const char*> kReasons = {
        {"CpuCount", "it is for Windows only"},
        {"CpuPercent", "it is for Windows only"},
        {"CpuRealtimePeriod", "the kernel offers no real-time scheduling to a plain user"},
        {"CpuRealtimeRuntime", "the kernel offers no real-time scheduling to a plain user"},
        {"DeviceCgroupRules",
         "a user namespace has no device cgroup; the device files' own "
         "permissions hold"},
        {"IOMaximumBandwidth", "it is for Windows only"},
        {"IOMaximumIOps", "it is for Windows only"},
        {"KernelMemory", "cgroup v2 has no such limit"},
        {"KernelMemoryTCP", "cgroup v2 has no such limit"}};
    if (!host.other) return;
    for (const auto& [key, reason] : kReasons)
        if (host.other->contains(key) && is_set(host.other->at(key)))
            lines.push_back(fmt::format("{} is discarded: {}.", key, reason));
    if (!host.cgroup.empty())
        lines.emplace_back("Cgroup is discarded: a container always has a cgroup view of its own.");
    for (const Device& device : host.devices)
        if (device.permissions != "rwm")
            lines.push_back(
                fmt::format("The cgroup permissions {} of device {} are discarded: a "
                            "user namespace has no device cgroup.",
                            device.permissions, device.path_on_host));
}

void add_oom_score(int score, const Abilities& abilities, Lines& lines) {
    if (score != 0 && score < abilities.lowest_oom_score)
        lines.push_back(
            fmt::format("OomScoreAdj {} is below the lowest that this user may set: {} is used.",
                        score, abilities.lowest_oom_score));
}

void add_security(const HostConfig& host, Lines& lines) {
    for (const std::string& option : host.security_opt) {
        const bool apparmor = option.starts_with("apparmor") && !option.ends_with("unconfined");
        const bool label = option.starts_with("label") && !option.ends_with("disable");
        if (apparmor || label)
            lines.push_back(
                fmt::format("SecurityOpt {} is discarded: a plain user cannot change the {}.",
                            option, apparmor ? "AppArmor profile" : "SELinux label"));
    }
}

void add_mounts(const ContainerRecord& record, Lines& lines) {
    for (const MountPoint& mount : record.mounts)
        if (mount.propagation.ends_with("shared"))
            lines.push_back(
                fmt::format("Propagation {} of {}: mounts of the host arrive in the container, "
                            "those that it makes do not leave it.",
                            mount.propagation, mount.destination));
}

void add_network(const ContainerRecord& record, Lines& lines) {
    const HostConfig& host = record.host_config;
    if (host.network_mode == "host" && !host.port_bindings.empty())
        lines.emplace_back("Published ports are discarded when using host network mode");
    if (std::ranges::find(host.dns, net::kDnsAddress) != host.dns.end())
        lines.push_back(fmt::format(
            "DNS server {} is not asked: it is the name server of user-defined networks itself.",
            net::kDnsAddress));
    for (const auto& [name, endpoint] : record.endpoints) {
        for (const std::string& address : endpoint.config.link_local_ips)
            lines.push_back(fmt::format(
                "LinkLocalIPs {} is discarded: link-local addresses are not served yet.", address));
    }
}

}  // namespace

Lines warnings(const ContainerRecord& record, const Abilities& abilities) {
    Lines lines = limit_warnings(record.host_config.resources, abilities);
    if (record.config.args_escaped)
        lines.emplace_back("ArgsEscaped is discarded: it is for Windows only.");
    add_oom_score(record.host_config.oom_score_adj, abilities, lines);
    add_passive(record.host_config, lines);
    add_security(record.host_config, lines);
    add_mounts(record, lines);
    add_network(record, lines);
    return lines;
}

}  // namespace berth::engine::model
