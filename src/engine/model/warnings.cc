#include "engine/model/warnings.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::engine::model {

using nlohmann::json;

namespace {

using Lines = std::vector<std::string>;

void add_limits(const Resources& r, const Abilities& abilities, Lines& lines) {
    const auto add = [&](bool asked, bool able, const char* what) {
        if (asked && !able)
            lines.push_back(fmt::format(
                "Your kernel does not support {} or the cgroup is not delegated. It is discarded.",
                what));
    };
    add(r.memory > 0, abilities.memory_limit, "memory limit capabilities");
    add(r.memory_reservation > 0, abilities.memory_limit, "memory soft limit capabilities");
    add(r.nano_cpus > 0, abilities.cpu_limit, "CPU CFS scheduler limits");
    add(r.cpu_period > 0 || r.cpu_quota > 0, abilities.cpu_limit, "CPU CFS period and quota");
    add(r.cpu_shares > 0, abilities.cpu_limit, "CPU shares");
    add(!r.cpuset_cpus.empty() || !r.cpuset_mems.empty(), abilities.cpuset, "cpuset");
    add(r.pids_limit.value_or(0) > 0, abilities.pids_limit, "PIDs limit capabilities");
    add(r.blkio_weight > 0, abilities.io, "Block I/O weight");
    if (r.oom_kill_disable.value_or(false))
        lines.emplace_back("OomKillDisable is discarded: cgroup v2 has no such switch.");
    if (r.memory_swappiness.value_or(-1) != -1)
        lines.emplace_back("MemorySwappiness is discarded: cgroup v2 has no such setting.");
    if (!r.cgroup_parent.empty())
        lines.push_back(
            fmt::format("CgroupParent {} is discarded: no cgroup is delegated to this engine.",
                        r.cgroup_parent));
}

bool is_set(const json& value) {
    return !value.is_null() && value != 0 && value != "" &&
           !(value.is_structured() && value.empty());
}

/// Fields that nothing acts on, with the reason. DeviceRequests and StorageOpt are refused instead.
void add_passive(const HostConfig& host, Lines& lines) {
    static const std::map<std::string, const char*> kReasons = {
        {"BlkioDeviceReadBps", "the io controller is not delegated"},
        {"BlkioDeviceReadIOps", "the io controller is not delegated"},
        {"BlkioDeviceWriteBps", "the io controller is not delegated"},
        {"BlkioDeviceWriteIOps", "the io controller is not delegated"},
        {"BlkioWeightDevice", "the io controller is not delegated"},
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
    for (const char* key : {"labels-regex", "env-regex", "tag"})
        if (log.options.contains(key))
            lines.push_back(fmt::format("Log option {} is discarded: not served yet.", key));
    const auto mode = log.options.find("mode");
    if (mode != log.options.end() && mode->second == "non-blocking")
        lines.emplace_back("Log option mode=non-blocking is discarded: the log never blocks long.");
}

void add_network(const ContainerRecord& record, Lines& lines) {
    const HostConfig& host = record.host_config;
    if (host.network_mode == "host" && !host.port_bindings.empty())
        lines.emplace_back("Published ports are discarded when using host network mode");
    const auto add_links = [&](const Lines& links) {
        for (const std::string& link : links)
            lines.push_back(fmt::format("Link {} is discarded: links are not served yet.", link));
    };
    add_links(host.links);
    for (const auto& [name, endpoint] : record.endpoints) {
        add_links(endpoint.config.links);
        for (const std::string& address : endpoint.config.link_local_ips)
            lines.push_back(fmt::format(
                "LinkLocalIPs {} is discarded: link-local addresses are not served yet.", address));
        if (!endpoint.config.driver_options.empty())
            lines.push_back(
                fmt::format("DriverOpts of network {} are discarded: none is served yet.", name));
    }
}

}  // namespace

Lines warnings(const ContainerRecord& record, const Abilities& abilities) {
    Lines lines;
    add_limits(record.host_config.resources, abilities, lines);
    add_passive(record.host_config, lines);
    add_security(record.host_config, lines);
    add_log(record.host_config.log_config, lines);
    add_network(record, lines);
    const auto& check = record.config.healthcheck;
    if (check && !check->test.empty() && check->test.front() != "NONE")
        lines.emplace_back("The health check is not run: health checks are not served yet.");
    return lines;
}

}  // namespace berth::engine::model
