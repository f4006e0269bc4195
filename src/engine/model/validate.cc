#include "engine/model/validate.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/number.h"
#include "base/text.h"
#include "engine/model/log_options.h"
#include "engine/model/resources.h"
#include "engine/model/restart.h"
#include "engine/model/signals.h"
#include "net/ipam.h"
#include "oci/defaults.h"

namespace berth::engine::model {

namespace {

[[noreturn]] void refuse(const std::string& text) {
    throw Error::with_text(ErrorKind::invalid, text);
}

void check_hostname(const std::string& name) {
    if (name.size() > 63) refuse("invalid hostname: " + name);
    for (const char c : name)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '.' && c != '_')
            refuse("invalid hostname format: " + name);
}

void check_env(const std::vector<std::string>& env) {
    for (const std::string& entry : env)
        if (entry.empty() || entry.front() == '=') refuse("invalid environment variable: " + entry);
}

void check_healthcheck(const ContainerConfig& config) {
    if (!config.healthcheck) return;
    const Healthcheck& check = *config.healthcheck;
    const auto bad = [](std::int64_t ns) { return ns != 0 && ns < 1'000'000; };
    if (bad(check.interval_ns)) refuse("Interval in Healthcheck cannot be less than 1ms");
    if (bad(check.timeout_ns)) refuse("Timeout in Healthcheck cannot be less than 1ms");
    if (bad(check.start_period_ns)) refuse("StartPeriod in Healthcheck cannot be less than 1ms");
    if (bad(check.start_interval_ns))
        refuse("StartInterval in Healthcheck cannot be less than 1ms");
    if (check.retries < 0) refuse("Retries in Healthcheck cannot be negative");
}

/// What cannot go together with a namespace that another container owns.
void check_container_network(const ContainerConfig& config, const HostConfig& host) {
    if (host.uts_mode == "host" && !config.hostname.empty())
        refuse("conflicting options: hostname and the UTS mode");
    const bool foreign = host.network_mode == "host" || host.network_mode.starts_with("container:");
    if (foreign && !config.mac_address.empty())
        refuse("conflicting options: mac-address and the network mode");
    if (!host.network_mode.starts_with("container:")) return;
    if (!config.hostname.empty()) refuse("conflicting options: hostname and the network mode");
    if (!host.links.empty())
        refuse(
            "conflicting options: container type network can't be used "
            "with links. This would result in undefined behavior");
    if (!host.dns.empty()) refuse("conflicting options: dns and the network mode");
    if (!host.extra_hosts.empty())
        refuse("conflicting options: custom host-to-IP mapping and the network mode");
    if (!host.port_bindings.empty() || host.publish_all_ports)
        refuse("conflicting options: port publishing and the container type network mode");
    if (!config.exposed_ports.empty())
        refuse("conflicting options: port exposing and the container type network mode");
}

void check_modes(const HostConfig& host, const Abilities& abilities) {
    if (!abilities.runtimes.contains(host.runtime) && !host.runtime.empty())
        refuse(fmt::format("unknown or invalid runtime name: {}", host.runtime));
    const auto one_of = [](const std::string& mode, const std::set<std::string>& words) {
        return mode.empty() || words.contains(mode) || mode.starts_with("container:");
    };
    if (!one_of(host.ipc_mode, {"private", "shareable", "host", "none"}))
        refuse("invalid IPC mode: " + host.ipc_mode);
    if (!one_of(host.pid_mode, {"host"})) refuse("invalid PID mode: " + host.pid_mode);
    if (!host.uts_mode.empty() && host.uts_mode != "host")
        refuse("invalid UTS mode: " + host.uts_mode);
    id_maps_of(host, abilities.user, abilities.id_counts);
    if (!host.cgroupns_mode.empty() && host.cgroupns_mode != "host" &&
        host.cgroupns_mode != "private")
        refuse("invalid cgroup namespace mode: " + host.cgroupns_mode);
    if (!host.isolation.empty() && host.isolation != "default")
        refuse(
            fmt::format("invalid isolation ({}): linux only supports 'default'", host.isolation));
}

void check_ports(const ContainerConfig& config, const HostConfig& host) {
    for (const std::string& port : config.exposed_ports) port_spec_from(port);
    for (const auto& [port, bindings] : host.port_bindings) {
        port_spec_from(port);
        for (const PortBinding& binding : bindings) {
            host_port_range(binding.host_port);
            if (!binding.host_ip.empty() && !IpAddress::is_valid(binding.host_ip))
                refuse("invalid IP address: " + binding.host_ip);
        }
    }
}

void check_extra_host(const std::string& entry) {
    const std::size_t colon = entry.find(':');
    if (colon == std::string::npos) refuse(fmt::format("bad format for add-host: \"{}\"", entry));
    const std::string address = entry.substr(colon + 1);
    if (address != "host-gateway" && !IpAddress::is_valid(address))
        refuse(fmt::format("invalid IP address in add-host: \"{}\"", address));
}

void check_network(const ContainerConfig& config, const HostConfig& host,
                   const NetworkingConfig& networking) {
    if (!config.mac_address.empty()) net::check_mac(config.mac_address);
    check_container_network(config, host);
    for (const auto& [name, endpoint] : networking.endpoints) {
        // What the network itself must allow is checked where it is known (engine/network).
        if (!endpoint.mac_address.empty()) net::check_mac(endpoint.mac_address);
    }
    for (const std::string& entry : host.extra_hosts) check_extra_host(entry);
    for (const std::string& server : host.dns)
        if (!IpAddress::is_valid(server))
            refuse("ip address is not correctly formatted: " + server);
}

/// `field` is CapAdd or CapDrop.
std::string capability_name(const std::string& text, const char* field) {
    std::string name = to_upper(text);
    if (name == "ALL") return name;
    if (!name.starts_with("CAP_")) name = "CAP_" + name;
    const auto& known = oci::all_capabilities();
    if (std::ranges::find(known, name) == known.end())
        refuse(fmt::format("invalid {}: unknown capability: \"{}\"", field, name));
    return name;
}

bool has(const std::vector<std::string>& list, const std::string& item) {
    return std::ranges::find(list, item) != list.end();
}

std::vector<std::string> capability_names(const std::vector<std::string>& texts,
                                          const char* field) {
    std::vector<std::string> names;
    for (const std::string& text : texts) names.push_back(capability_name(text, field));
    return names;
}

/// What would change the meaning of the container when it was left out.
void check_unserved(const HostConfig& host) {
    const auto sent = [&](const char* key) {
        return host.other && host.other->contains(key) && !host.other->at(key).empty();
    };
    if (sent("DeviceRequests")) {
        const nlohmann::json& first = host.other->at("DeviceRequests").front();
        const JsonReader request(first, "DeviceRequests", KeyCase::any);
        const nlohmann::json* capabilities = request.find("Capabilities");
        refuse(fmt::format("could not select device driver \"{}\" with capabilities: {}",
                           request.string("Driver"),
                           capabilities == nullptr ? "[]" : dump_json(*capabilities)));
    }
    if (sent("StorageOpt"))
        refuse(
            "--storage-opt is not supported: a rootless engine cannot set quotas on its storage");
    if (!host.volume_driver.empty() && host.volume_driver != "local")
        refuse(fmt::format("error looking up volume plugin {0}: plugin \"{0}\" not found",
                           host.volume_driver));
}

/// Only what belongs to a namespace that the container has for itself; the texts are runc's, save
/// that of the network, which is dockerd's.
void check_sysctls(const HostConfig& host) {
    static const std::set<std::string> kIpc = {
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
        "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
    for (const auto& [key, value] : host.sysctls) {
        if (key.starts_with("net.")) {
            if (host.network_mode == "host")
                refuse(fmt::format("sysctl '{}' not allowed in host network namespace", key));
        } else if (kIpc.contains(key) || key.starts_with("fs.mqueue.")) {
            if (host.ipc_mode == "host")
                refuse(fmt::format("sysctl \"{}\" is not allowed in the host ipc namespace", key));
        } else if (key != "kernel.domainname") {
            refuse(fmt::format("sysctl \"{}\" is not in a separate kernel namespace", key));
        }
    }
}

}  // namespace

PortSpec port_spec_from(const std::string& text) {
    PortSpec spec;
    const std::size_t slash = text.find('/');
    if (slash != std::string::npos) spec.protocol = text.substr(slash + 1);
    spec.number =
        whole_number<decltype(spec.number)>(std::string_view(text).substr(0, slash)).value_or(0);
    if (spec.number == 0) refuse("invalid port specification: \"" + text + "\"");
    if (spec.protocol != "tcp" && spec.protocol != "udp" && spec.protocol != "sctp")
        refuse("invalid port protocol: " + spec.protocol);
    return spec;
}

std::pair<std::uint16_t, std::uint16_t> host_port_range(const std::string& text) {
    if (text.empty()) return {0, 0};
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    const char* end = text.data() + text.size();
    auto read = std::from_chars(text.data(), end, first);
    last = first;
    if (read.ec == std::errc() && read.ptr != end && *read.ptr == '-')
        read = std::from_chars(read.ptr + 1, end, last);
    if (read.ec != std::errc() || read.ptr != end || last < first)
        refuse("invalid port specification: \"" + text + "\"");
    return {first, last};
}

SecurityOptions security_options_from(const std::vector<std::string>& options,
                                      bool default_no_new_privileges) {
    SecurityOptions read;
    read.no_new_privileges = default_no_new_privileges;
    for (const std::string& option : options) {
        std::size_t split = option.find('=');
        if (split == std::string::npos) split = option.find(':');
        const std::string key = option.substr(0, split);
        const std::string value = split == std::string::npos ? "" : option.substr(split + 1);
        if (key == "no-new-privileges") {
            if (split != std::string::npos && value != "true" && value != "false")
                refuse(fmt::format("invalid --security-opt 2: \"{}\"", option));
            read.no_new_privileges = value != "false";
        } else if (key == "seccomp") {
            read.seccomp = value == "builtin" ? "" : value;
        } else if (key == "systempaths" && value == "unconfined") {
            read.unconfined_paths = true;
        } else if (key != "label" && key != "apparmor" && key != "disable") {
            // Labels and AppArmor profiles have no power in a user namespace: taken, not applied.
            refuse(fmt::format("invalid --security-opt 2: \"{}\"", option));
        }
    }
    return read;
}

std::vector<std::string> capabilities_of(const HostConfig& host) {
    if (host.privileged) return oci::all_capabilities();
    const std::vector<std::string> add = capability_names(host.cap_add, "CapAdd");
    const std::vector<std::string> drop = capability_names(host.cap_drop, "CapDrop");
    std::vector<std::string> result;
    for (const std::string& name : oci::all_capabilities()) {
        const bool by_default = has(oci::default_capabilities(), name);
        bool kept = has(drop, "ALL") ? has(add, "ALL") || has(add, name)
                                     : has(add, "ALL") || by_default || has(add, name);
        // What is named explicitly beats ALL.
        if (has(drop, name) && !has(add, name)) kept = false;
        if (kept) result.push_back(name);
    }
    return result;
}

void validate(const ContainerConfig& config, const HostConfig& host,
              const NetworkingConfig& networking, const Abilities& abilities) {
    check_hostname(config.hostname);
    check_env(config.env);
    if (!config.working_dir.empty() && config.working_dir.front() != '/')
        refuse(fmt::format("the working directory '{}' is invalid, it needs to be an absolute path",
                           config.working_dir));
    if (!config.stop_signal.empty()) signal_from(config.stop_signal);
    check_healthcheck(config);
    check_restart_policy(host.restart_policy, host.auto_remove);
    check_resources(host.resources, abilities, Purpose::create);
    check_modes(host, abilities);
    check_log_options(host.log_config);
    check_ports(config, host);
    check_network(config, host, networking);
    security_options_from(host.security_opt, false);
    capabilities_of(host);
    if (host.shm_size < 0) refuse("SHM size can not be less than 0");
    if (host.oom_score_adj < -1000 || host.oom_score_adj > 1000)
        refuse(fmt::format("Invalid value {}, range for oom score adj is [-1000, 1000]",
                           host.oom_score_adj));
    check_sysctls(host);
    check_unserved(host);
}

}  // namespace berth::engine::model
