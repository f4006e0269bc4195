// The whole configuration of the daemon after flags, daemon.json and defaults were merged. The
// supervisor makes it (options.h) and sends it to the engine in the `configure` message; the engine
// gets nothing from the environment or the command line. Plain values, no IO.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace berth::daemon {

/// Three states: what a file or flag left open differs from an explicit false.
enum class Choice { unset, no, yes };

struct RuntimeProgram final {
    std::string path;
    std::vector<std::string> arguments;
    bool operator==(const RuntimeProgram&) const = default;
};

struct UlimitDefault final {
    std::int64_t soft = 0;
    std::int64_t hard = 0;
    bool operator==(const UlimitDefault&) const = default;
};

struct AddressPool final {
    std::string base;  // a CIDR
    std::int64_t size = 0;
    bool operator==(const AddressPool&) const = default;
};

struct Config final {
    // Sockets, TLS, API
    std::vector<std::string> hosts;  // unix:///path, tcp://host:port, fd://
    std::string group;
    Choice tls = Choice::unset;
    Choice tls_verify = Choice::unset;
    std::string tls_ca_cert;
    std::string tls_cert;
    std::string tls_key;
    std::string min_api_version = "1.24";
    bool debug = false;

    // State and directories
    std::string config_file;  // the file that was read; empty when there was none
    std::string data_root;
    std::string exec_root;
    std::string pidfile;
    bool live_restore = false;
    std::int64_t shutdown_timeout = 15;      // seconds; -1 waits for ever
    std::int64_t default_stop_timeout = 10;  // seconds
    std::vector<std::string> labels;

    // Logging of the daemon
    std::string log_level = "info";
    std::string log_format = "text";

    // Container defaults
    std::string log_driver = "json-file";
    std::map<std::string, std::string> log_opts;
    std::string default_runtime = "runc";
    std::map<std::string, RuntimeProgram> runtimes;
    std::map<std::string, UlimitDefault> default_ulimits;
    std::int64_t default_shm_size = 64 << 20;
    std::string default_ipc_mode = "private";
    std::string default_cgroupns_mode;  // empty: private
    std::string default_userns_mode;    // empty: host
    std::string cgroup_parent;          // empty, NAME.slice or an absolute path
    std::vector<std::string> exec_opts;
    bool init = false;
    std::string init_path;
    bool no_new_privileges = false;
    std::string seccomp_profile = "builtin";

    // Images and registries
    std::string storage_driver;  // empty: probed
    std::vector<std::string> registry_mirrors;
    std::vector<std::string> insecure_registries;
    std::int64_t max_concurrent_downloads = 3;
    std::int64_t max_concurrent_uploads = 5;
    std::int64_t max_download_attempts = 5;
    std::int64_t max_layer_size = 1LL << 42;
    std::int64_t max_layer_entries = 8'000'000;
    std::int64_t max_layer_expansion = 200;
    std::string http_proxy;
    std::string https_proxy;
    std::string no_proxy;

    // Networking
    std::string bridge;  // "none": no default network
    std::string bip;
    std::string fixed_cidr;
    std::string default_gateway;
    std::vector<AddressPool> default_address_pools;
    std::int64_t mtu = 0;  // 0: chosen by the network process
    bool icc = true;
    std::string ip = "0.0.0.0";  // default address of published ports
    bool ip_masq = true;
    std::vector<std::string> dns;
    std::vector<std::string> dns_opts;
    std::vector<std::string> dns_search;
    std::vector<std::string> host_gateway_ips;

    std::map<std::string, bool> features;

    bool operator==(const Config&) const = default;
};

/// Every member under its daemon.json key (`config-file` for config_file).
nlohmann::json to_json(const Config& config);
/// The reverse of to_json; absent members keep their default. Throws Error{invalid} naming the key.
Config config_from_json(const nlohmann::json& value);

}  // namespace berth::daemon
