// What the engine is told when it starts: values that berthd made out of daemon.json and flags.
// Plain data; nothing here is read again after Engine's construction.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace berth::engine {

enum class LiveRestore { no, yes };

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
    std::string
        bridge_address;  // "bip": gateway and prefix of the default bridge; empty: 172.17.0.1/16
    int mtu = 1500;
    std::vector<std::string> dns;
    std::vector<std::string> dns_options;
    std::vector<std::string> dns_search;
    std::vector<std::string> labels;
    std::int64_t default_shm_size = 64 << 20;
    int shutdown_timeout_s = 15;
    LiveRestore live_restore = LiveRestore::no;
    bool debug = false;
    bool init = false;               // an init in every container unless it says otherwise
    bool no_new_privileges = false;  // default of new containers
    std::string seccomp_profile;     // path; empty: built in
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> default_ulimits;  // soft, hard
    std::map<std::string, std::string> runtimes;  // name -> path of other OCI runtimes
    std::string default_runtime = "berth";
    int max_concurrent_downloads = 3;
};

}  // namespace berth::engine
