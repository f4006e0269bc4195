#include "engine/model/warnings.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/model/resources.h"

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

void add_log(const LogConfig& log, Lines& lines) {
    const auto mode = log.options.find("mode");
    if (log.type == "json-file" && mode != log.options.end() && mode->second == "non-blocking")
        lines.emplace_back("Log option mode=non-blocking is discarded: the log never blocks long.");
}

void add_network(const ContainerRecord& record, Lines& lines) {
    const HostConfig& host = record.host_config;
    if (host.network_mode == "host" && !host.port_bindings.empty())
        lines.emplace_back("Published ports are discarded when using host network mode");
    for (const auto& [name, endpoint] : record.endpoints) {
        for (const std::string& address : endpoint.config.link_local_ips)
            lines.push_back(fmt::format(
                "LinkLocalIPs {} is discarded: link-local addresses are not served yet.", address));
    }
}

}  // namespace

Lines warnings(const ContainerRecord& record, const Abilities& abilities) {
    Lines lines = limit_warnings(record.host_config.resources, abilities);
    add_oom_score(record.host_config.oom_score_adj, abilities, lines);
    add_passive(record.host_config, lines);
    add_security(record.host_config, lines);
    add_log(record.host_config.log_config, lines);
    add_network(record, lines);
    return lines;
}

}  // namespace berth::engine::model
