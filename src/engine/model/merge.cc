#include "engine/model/merge.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "oci/defaults.h"

namespace berth::engine::model {

namespace {

void merge_env(ContainerConfig& config, const ContainerConfig& image) {
    for (const std::string& entry : image.env) {
        const std::string key = variable_name(entry);
        const bool set = std::ranges::any_of(
            config.env, [&](const std::string& mine) { return variable_name(mine) == key; });
        if (!set) config.env.push_back(entry);
    }
}

void merge_command(ContainerConfig& config, const ContainerConfig& image) {
    const bool blank_entrypoint =
        config.entrypoint && config.entrypoint->size() == 1 && config.entrypoint->front().empty();
    if (blank_entrypoint) {
        config.entrypoint.reset();
    } else if (!config.entrypoint) {
        config.entrypoint = image.entrypoint;
        if (!config.cmd || config.cmd->empty()) config.cmd = image.cmd;
    } else if (config.entrypoint->empty() && (!config.cmd || config.cmd->empty())) {
        config.cmd = image.cmd;
    }
    if (command_line(config).empty()) throw Error(ErrorKind::invalid, "no command specified");
}

void merge_healthcheck(ContainerConfig& config, const ContainerConfig& image) {
    if (!image.healthcheck) return;
    if (!config.healthcheck) {
        config.healthcheck = image.healthcheck;
        return;
    }
    Healthcheck& mine = *config.healthcheck;
    const Healthcheck& theirs = *image.healthcheck;
    if (mine.test.empty()) mine.test = theirs.test;
    if (mine.interval_ns == 0) mine.interval_ns = theirs.interval_ns;
    if (mine.timeout_ns == 0) mine.timeout_ns = theirs.timeout_ns;
    if (mine.start_period_ns == 0) mine.start_period_ns = theirs.start_period_ns;
    if (mine.start_interval_ns == 0) mine.start_interval_ns = theirs.start_interval_ns;
    if (mine.retries == 0) mine.retries = theirs.retries;
}

void apply_resource_defaults(Resources& r) {
    if (r.memory > 0 && r.memory_swap == 0) r.memory_swap = 2 * r.memory;
    if (r.memory_swappiness && *r.memory_swappiness == -1) r.memory_swappiness.reset();
    if (r.pids_limit && *r.pids_limit <= 0) r.pids_limit.reset();
    if (r.oom_kill_disable && !*r.oom_kill_disable) r.oom_kill_disable.reset();
}

bool unconfined_system_paths(const HostConfig& host) {
    return std::ranges::find(host.security_opt, "systempaths=unconfined") !=
           host.security_opt.end();
}

void apply_network_mode(CreateRequest& request, const Settings& settings) {
    HostConfig& host = request.host_config;
    if (host.network_mode.empty() || host.network_mode == "default")
        host.network_mode = settings.default_network == DefaultNetwork::bridge ? "bridge" : "none";
    if (request.config.network_disabled) host.network_mode = "none";
    auto named = request.networking.endpoints.extract("default");
    if (named.empty()) return;
    named.key() = host.network_mode;
    request.networking.endpoints.insert(std::move(named));
}

void apply_paths(HostConfig& host) {
    const bool open = host.privileged || unconfined_system_paths(host);
    if (open) {
        host.masked_paths = std::vector<std::string>{};
        host.readonly_paths = std::vector<std::string>{};
        return;
    }
    if (!host.masked_paths) host.masked_paths = oci::default_masked_paths();
    if (!host.readonly_paths) host.readonly_paths = oci::default_readonly_paths();
}

void apply_log_defaults(HostConfig& host, const Settings& settings) {
    if (host.log_config.type.empty()) {
        host.log_config.type = settings.log_driver;
        for (const auto& [key, value] : settings.log_options)
            host.log_config.options.emplace(key, value);
    } else if (host.log_config.type == settings.log_driver) {
        for (const auto& [key, value] : settings.log_options)
            host.log_config.options.emplace(key, value);
    }
}

}  // namespace

std::vector<std::string> command_line(const ContainerConfig& config) {
    std::vector<std::string> line;
    if (config.entrypoint) line = *config.entrypoint;
    if (config.cmd) line.insert(line.end(), config.cmd->begin(), config.cmd->end());
    return line;
}

ContainerConfig merge_image(ContainerConfig config, const ContainerConfig& image) {
    config.exposed_ports.insert(image.exposed_ports.begin(), image.exposed_ports.end());
    config.volumes.insert(image.volumes.begin(), image.volumes.end());
    for (const auto& [key, value] : image.labels) config.labels.emplace(key, value);
    merge_env(config, image);
    merge_command(config, image);
    merge_healthcheck(config, image);
    if (config.working_dir.empty()) config.working_dir = image.working_dir;
    if (config.user.empty()) config.user = image.user;
    if (config.stop_signal.empty()) config.stop_signal = image.stop_signal;
    return config;
}

void apply_defaults(CreateRequest& request, const Settings& settings, const DefaultFacts& facts) {
    HostConfig& host = request.host_config;
    apply_network_mode(request, settings);
    apply_resource_defaults(host.resources);
    apply_paths(host);
    apply_log_defaults(host, settings);
    if (host.shm_size == 0) host.shm_size = settings.default_shm_size;
    if (host.ipc_mode.empty()) host.ipc_mode = settings.default_ipc_mode;
    if (host.cgroupns_mode.empty()) host.cgroupns_mode = settings.default_cgroupns_mode;
    if (host.cgroupns_mode.empty())
        host.cgroupns_mode = host.privileged && !facts.cgroup_v2 ? "host" : "private";
    if (host.restart_policy.name.empty()) host.restart_policy.name = "no";
    if (host.runtime.empty()) host.runtime = settings.default_runtime;
    if (!request.config.hostname.empty()) return;
    const bool of_host = host.network_mode == "host" || host.uts_mode == "host";
    if (host.network_mode.starts_with("container:")) return;
    request.config.hostname = of_host ? facts.host_name : facts.container_id.substr(0, 12);
}

}  // namespace berth::engine::model
