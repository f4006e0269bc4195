#include "daemon/engine_settings.h"

namespace berth::daemon {

engine::Settings engine_settings(const Config& config) {
    engine::Settings settings;
    settings.data_root = config.data_root;
    settings.exec_root = config.exec_root;
    settings.storage_driver = config.storage_driver;
    settings.insecure_registries = config.insecure_registries;
    settings.registry_mirrors = config.registry_mirrors;
    settings.log_driver = config.log_driver;
    settings.log_options = config.log_opts;
    settings.bridge_address = config.bip;
    if (config.mtu > 0) settings.mtu = static_cast<int>(config.mtu);
    settings.dns = config.dns;
    settings.dns_options = config.dns_opts;
    settings.dns_search = config.dns_search;
    settings.labels = config.labels;
    settings.default_shm_size = config.default_shm_size;
    settings.shutdown_timeout_s = static_cast<int>(config.shutdown_timeout);
    settings.live_restore =
        config.live_restore ? engine::LiveRestore::yes : engine::LiveRestore::no;
    settings.debug = config.debug;
    settings.init = config.init;
    settings.no_new_privileges = config.no_new_privileges;
    if (config.seccomp_profile != "builtin") settings.seccomp_profile = config.seccomp_profile;
    for (const auto& [name, limit] : config.default_ulimits)
        settings.default_ulimits[name] = {limit.soft, limit.hard};
    for (const auto& [name, runtime] : config.runtimes) settings.runtimes[name] = runtime.path;
    // docker's name for the built-in runtime.
    if (config.default_runtime != "runc") settings.default_runtime = config.default_runtime;
    settings.max_concurrent_downloads = static_cast<int>(config.max_concurrent_downloads);
    return settings;
}

}  // namespace berth::daemon
