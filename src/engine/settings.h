// What the engine is told when it starts: values that berthd made out of daemon.json and flags.
// Plain data. What SIGHUP changes is said at Engine::reload; the rest is fixed for the engine's
// life, so worker threads may read it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace berth::engine {

enum class LiveRestore { no, yes };

/// An OCI runtime other than the built-in one.
struct RuntimeProgram final {
    std::string path;
    std::vector<std::string> arguments;  // global ones, before the verb
};

/// "default-address-pools": subnets of `size` prefix bits are cut out of `base`.
struct AddressRange final {
    std::string base;  // a CIDR
    int size = 0;
};

/// The part of the cgroup v2 tree that is delegated to this user's engine, as the supervisor found
/// or got it (docs/processes.md, "Cgroups"). Directories are absolute, below /sys/fs/cgroup.
struct CgroupDelegation final {
    std::string directory;              // each container gets a directory of its own in it; empty:
                                        // containers get no cgroup
    std::string support;                // where shims live, so that no container's limit hits them
    std::set<std::string> controllers;  // enabled for the containers' directories
    std::string driver = "none";        // systemd (a scope), cgroupfs (a directory by chown), none
    std::string problem;  // why something is missing, and what mends it; empty: all is there
};

/// What new containers without a network of their own choice get.
enum class DefaultNetwork { bridge, none };

struct Settings final {
    std::string data_root;       // $XDG_DATA_HOME/berth
    std::string exec_root;       // $XDG_RUNTIME_DIR/berth
    std::string network_socket;  // empty: exec_root/network.sock
    std::string storage_driver;  // empty: probed
    std::vector<std::string> insecure_registries;
    std::vector<std::string> registry_mirrors;
    std::string certificates_directory;  // certs.d; empty: none
    std::string log_driver = "json-file";
    std::map<std::string, std::string> log_options;
    DefaultNetwork default_network = DefaultNetwork::bridge;
    std::string bridge_address;   // "bip": address and prefix of the default bridge; empty: chosen
    std::string fixed_cidr;       // where the bridge's containers get their addresses
    std::string default_gateway;  // of the bridge's containers; empty: the bridge's address
    std::vector<AddressRange> address_pools;  // empty: Docker's
    std::string publish_address;              // of -p without one; empty: all addresses
    bool icc = true;
    bool masquerade = true;
    int mtu = 0;                                // 0: the network process's choice
    std::vector<std::string> host_gateway_ips;  // of `host-gateway`; empty: net::kHostAlias4
    std::vector<std::string> dns;
    std::vector<std::string> dns_options;
    std::vector<std::string> dns_search;
    std::vector<std::string> labels;
    std::int64_t default_shm_size = 64 << 20;
    std::string default_ipc_mode = "private";
    std::string default_cgroupns_mode;  // empty: private
    std::string default_userns_mode;    // empty: host, root of the container is the user
    CgroupDelegation cgroup;
    int default_stop_timeout_s = 10;
    int shutdown_timeout_s = 15;  // -1: waits for ever
    LiveRestore live_restore = LiveRestore::no;
    bool debug = false;
    std::string min_api_version = "1.24";
    bool init = false;               // an init in every container unless it says otherwise
    std::string init_program;        // empty: berth-init
    bool no_new_privileges = false;  // default of new containers
    std::string seccomp_profile;     // path; empty: built in
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> default_ulimits;  // soft, hard
    std::map<std::string, RuntimeProgram> runtimes;                                // by name
    std::string default_runtime = "berth";
    int max_concurrent_downloads = 3;
    int max_concurrent_uploads = 5;
    int max_download_attempts = 5;
    // Of one layer; the last is a ratio, 0: any.
    std::int64_t max_layer_size = 1LL << 42;
    std::int64_t max_layer_entries = 8'000'000;
    std::int64_t max_layer_expansion = 200;
    std::string http_proxy, https_proxy, no_proxy;  // empty: from the environment
};

}  // namespace berth::engine
