// The API's container configuration as typed values: what a client sends to create, what a record
// keeps, what inspect shows. Keys that the engine does not act on stay as JSON, so that each one
// round-trips. Pure: no IO, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace berth::engine::model {

using Labels = std::map<std::string, std::string>;

struct Healthcheck final {
    std::vector<std::string> test;
    std::int64_t interval_ns = 0, timeout_ns = 0, start_period_ns = 0, start_interval_ns = 0;
    std::int64_t retries = 0;
    bool operator==(const Healthcheck&) const = default;
};

struct ContainerConfig final {
    std::string hostname;
    std::string domainname;
    std::string user;
    bool attach_stdin = false, attach_stdout = false, attach_stderr = false;
    bool tty = false;
    bool open_stdin = false;
    bool stdin_once = false;
    std::set<std::string> exposed_ports;  // "80/tcp"
    std::vector<std::string> env;
    std::optional<std::vector<std::string>> cmd;         // absent: null
    std::optional<std::vector<std::string>> entrypoint;  // absent: null; {} is "none at all"
    std::optional<Healthcheck> healthcheck;
    std::string image;  // as the client typed it
    std::set<std::string> volumes;
    std::string working_dir;
    bool network_disabled = false;
    std::string mac_address;
    std::vector<std::string> on_build;
    Labels labels;
    std::string stop_signal;
    std::optional<std::int64_t> stop_timeout_s;
    std::vector<std::string> shell;
    bool args_escaped = false;  // of Windows; asked for once, never shown
};

struct PortBinding final {
    std::string host_ip;
    std::string host_port;  // "", "8080" or "8000-8010"
    bool operator==(const PortBinding&) const = default;
};
using PortMap = std::map<std::string, std::vector<PortBinding>>;  // "80/tcp" -> bindings

struct RestartPolicy final {
    std::string name = "no";
    int maximum_retry_count = 0;
    bool operator==(const RestartPolicy&) const = default;
};

struct LogConfig final {
    std::string type;
    std::map<std::string, std::string> options;
};

struct Device final {
    std::string path_on_host, path_in_container, permissions = "rwm";
};

struct Ulimit final {
    std::string name;
    std::int64_t soft = 0, hard = 0;
};

/// One element of HostConfig.Mounts.
struct MountObject final {
    std::string type, source, target, consistency;
    bool read_only = false;
    // BindOptions
    std::string propagation;
    bool non_recursive = false, create_mountpoint = false;
    bool read_only_non_recursive = false, read_only_force_recursive = false;
    // VolumeOptions
    bool no_copy = false;
    Labels volume_labels;
    std::string volume_driver;
    std::map<std::string, std::string> volume_driver_options;
    std::string subpath;  // also ImageOptions.Subpath
    // TmpfsOptions
    std::int64_t tmpfs_size = 0;
    std::uint32_t tmpfs_mode = 0;
    std::vector<std::vector<std::string>> tmpfs_options;
    std::set<std::string> option_groups;  // which of BindOptions, VolumeOptions, … were given
};

/// A weight or a rate of one block device.
struct BlockLimit final {
    std::string path;
    std::int64_t value = 0;
    bool operator==(const BlockLimit&) const = default;
};

/// Resource limits, kept as asked; `unlimited` spellings are normalised by apply_defaults.
struct Resources final {
    std::int64_t memory = 0, memory_swap = 0, memory_reservation = 0;
    std::optional<std::int64_t> memory_swappiness;
    std::int64_t nano_cpus = 0, cpu_shares = 0, cpu_period = 0, cpu_quota = 0;
    std::string cpuset_cpus, cpuset_mems, cgroup_parent;
    std::optional<std::int64_t> pids_limit;
    std::int64_t blkio_weight = 0;
    std::vector<BlockLimit> weight_devices;  // absent in a request: none
    std::vector<BlockLimit> read_bps, write_bps, read_iops, write_iops;
    std::optional<bool> oom_kill_disable;
};

struct HostConfig final {
    std::vector<std::string> binds;
    std::vector<MountObject> mounts;
    std::map<std::string, std::string> tmpfs;
    std::vector<std::string> volumes_from;
    std::string volume_driver;
    std::string container_id_file;
    LogConfig log_config;
    std::string network_mode;
    PortMap port_bindings;
    bool publish_all_ports = false;
    RestartPolicy restart_policy;
    bool auto_remove = false;
    std::pair<std::uint32_t, std::uint32_t> console_size{0, 0};  // height, width
    std::map<std::string, std::string> annotations;
    std::vector<std::string> cap_add, cap_drop;
    std::string cgroupns_mode, ipc_mode, pid_mode, uts_mode, userns_mode, cgroup;
    std::vector<std::string> dns, dns_options, dns_search, extra_hosts, group_add, links;
    int oom_score_adj = 0;
    bool privileged = false;
    bool readonly_rootfs = false;
    std::vector<std::string> security_opt;
    std::map<std::string, std::string> sysctls;
    std::int64_t shm_size = 0;
    std::string runtime, isolation;
    std::optional<bool> init;
    std::optional<std::vector<std::string>> masked_paths, readonly_paths;
    std::vector<Device> devices;
    std::vector<Ulimit> ulimits;
    Resources resources;
    /// Keys not named above, as sent: DeviceRequests, StorageOpt, CpuRealtime… Never null
    /// after from_json; shared, since copies of a config never change it.
    std::shared_ptr<const nlohmann::json> other;
};

struct EndpointConfig final {
    std::string ipv4_address, ipv6_address;
    std::vector<std::string> aliases, links, link_local_ips;
    std::string mac_address;
    std::map<std::string, std::string> driver_options;
    std::int64_t gateway_priority = 0;
};

struct NetworkingConfig final {
    std::map<std::string, EndpointConfig> endpoints;  // by network name or id
};

ContainerConfig container_config_from(const nlohmann::json& value);
HostConfig host_config_from(const nlohmann::json& value);
NetworkingConfig networking_config_from(const nlohmann::json& value);
EndpointConfig endpoint_config_from(const nlohmann::json& value);
/// With the API's keys; all HostConfig keys are present, as inspect shows them.
nlohmann::json to_json(const ContainerConfig& config);
nlohmann::json to_json(const HostConfig& config);
nlohmann::json to_json(const EndpointConfig& config);

/// The body of POST /containers/create: Config's keys with HostConfig and NetworkingConfig inside.
struct CreateRequest final {
    ContainerConfig config;
    HostConfig host_config;
    NetworkingConfig networking;
    /// Reads keys in any case. Throws Error{invalid} naming the member.
    static CreateRequest from_json(const nlohmann::json& body);
};

}  // namespace berth::engine::model
