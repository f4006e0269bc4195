#include "daemon/engine_settings.h"

namespace berth::daemon {
namespace {

void add_network(const Config& config, engine::Settings& settings) {
    if (config.bridge == "none") settings.default_network = engine::DefaultNetwork::none;
    settings.bridge_address = config.bip;
    settings.fixed_cidr = config.fixed_cidr;
    settings.default_gateway = config.default_gateway;
    for (const AddressPool& pool : config.default_address_pools)
        settings.address_pools.push_back({pool.base, static_cast<int>(pool.size)});
    // All IPv4 addresses is what "no address" means, with those of IPv6 beside them.
    if (config.ip != "0.0.0.0") settings.publish_address = config.ip;
    settings.icc = config.icc;
    settings.masquerade = config.ip_masq;
    settings.mtu = static_cast<int>(config.mtu);
    settings.host_gateway_ips = config.host_gateway_ips;
}

}  // namespace

engine::Settings engine_settings(const Config& config, const engine::CgroupDelegation& cgroup) {
    engine::Settings settings;
    settings.data_root = config.data_root;
    settings.exec_root = config.exec_root;
    settings.storage_driver = config.storage_driver;
    settings.insecure_registries = config.insecure_registries;
    settings.registry_mirrors = config.registry_mirrors;
    settings.log_driver = config.log_driver;
    settings.log_options = config.log_opts;
    add_network(config, settings);
    settings.dns = config.dns;
    settings.dns_options = config.dns_opts;
    settings.dns_search = config.dns_search;
    settings.labels = config.labels;
    settings.default_shm_size = config.default_shm_size;
    settings.default_ipc_mode = config.default_ipc_mode;
    settings.default_cgroupns_mode = config.default_cgroupns_mode;
    settings.default_userns_mode = config.default_userns_mode;
    // The daemon's own cgroup-parent is where it is.
    settings.cgroup = cgroup;
    settings.default_stop_timeout_s = static_cast<int>(config.default_stop_timeout);
    settings.shutdown_timeout_s = static_cast<int>(config.shutdown_timeout);
    settings.live_restore =
        config.live_restore ? engine::LiveRestore::yes : engine::LiveRestore::no;
    settings.debug = config.debug;
    settings.min_api_version = config.min_api_version;
    settings.init = config.init;
    settings.init_program = config.init_path;
    settings.no_new_privileges = config.no_new_privileges;
    if (config.seccomp_profile != "builtin") settings.seccomp_profile = config.seccomp_profile;
    for (const auto& [name, limit] : config.default_ulimits)
        settings.default_ulimits[name] = {limit.soft, limit.hard};
    for (const auto& [name, runtime] : config.runtimes)
        settings.runtimes[name] = {runtime.path, runtime.arguments};
    // docker's name for the built-in runtime.
    if (config.default_runtime != "runc") settings.default_runtime = config.default_runtime;
    settings.max_concurrent_downloads = static_cast<int>(config.max_concurrent_downloads);
    settings.max_concurrent_uploads = static_cast<int>(config.max_concurrent_uploads);
    settings.max_download_attempts = static_cast<int>(config.max_download_attempts);
    settings.max_layer_size = config.max_layer_size;
    settings.max_layer_entries = config.max_layer_entries;
    settings.max_layer_expansion = config.max_layer_expansion;
    settings.http_proxy = config.http_proxy;
    settings.https_proxy = config.https_proxy;
    settings.no_proxy = config.no_proxy;
    return settings;
}

}  // namespace berth::daemon
