// The OCI runtime specification's config.json as plain structs, read and written. The engine
// builds a Spec and serialises it; berth-runtime parses and validates it. Unknown members are
// ignored, as the specification demands. No IO here; errors are Error{invalid} naming the path.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/seccomp_spec.h"

namespace berth::oci {

inline constexpr std::string_view kSpecVersion = "1.2.1";

struct User final {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> additional_gids;
    std::optional<mode_t> umask;
};

/// The five sets, as names ("CAP_CHOWN").
struct Capabilities final {
    std::vector<std::string> bounding;
    std::vector<std::string> effective;
    std::vector<std::string> inheritable;
    std::vector<std::string> permitted;
    std::vector<std::string> ambient;
};

struct Rlimit final {
    std::string type;  // "RLIMIT_NOFILE"
    std::uint64_t soft = 0;
    std::uint64_t hard = 0;
};

struct ConsoleSize final {
    unsigned height = 0;
    unsigned width = 0;
};

struct Process final {
    bool terminal = false;
    std::optional<ConsoleSize> console_size;
    User user;
    std::vector<std::string> args;
    std::vector<std::string> env;  // "KEY=value"
    std::string cwd = "/";
    std::optional<Capabilities> capabilities;  // absent: no capability at all
    std::vector<Rlimit> rlimits;
    bool no_new_privileges = false;
    std::string apparmor_profile;
    std::string selinux_label;
    std::optional<int> oom_score_adj;
};

struct IdMapping final {
    std::uint32_t container_id = 0;
    std::uint32_t host_id = 0;
    std::uint32_t size = 0;
};

struct Mount final {
    std::string destination;
    std::string type;
    std::string source;
    std::vector<std::string> options;  // mount(8) words: "rbind", "ro", "nosuid", "mode=755"
    std::vector<IdMapping> uid_mappings;
    std::vector<IdMapping> gid_mappings;
};

struct Root final {
    std::string path = "rootfs";  // relative to the bundle, or absolute
    bool readonly = false;
};

/// Types: "user" "mount" "pid" "network" "uts" "ipc" "cgroup" "time".
struct Namespace final {
    std::string type;
    std::string path;  // empty: a new one; else it is joined
};

struct Device final {
    std::string path;
    std::string type = "c";  // c, b, u, p
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::optional<mode_t> file_mode;
    std::optional<uid_t> uid;
    std::optional<gid_t> gid;
};

/// A block device's weight, or bytes or operations a second.
struct DeviceRate final {
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::uint64_t rate = 0;
    bool operator==(const DeviceRate&) const = default;
};

struct RdmaLimit final {
    std::optional<std::uint32_t> handles;
    std::optional<std::uint32_t> objects;
};

struct Resources final {
    std::optional<std::int64_t> memory_limit;        // bytes, -1 unlimited
    std::optional<std::int64_t> memory_reservation;  // bytes
    std::optional<std::int64_t> memory_swap;         // memory + swap, -1 unlimited
    std::optional<std::uint64_t> cpu_shares;
    std::optional<std::int64_t> cpu_quota;  // microseconds
    std::optional<std::uint64_t> cpu_period;
    std::optional<std::uint64_t> cpu_burst;  // microseconds
    std::optional<std::int64_t> cpu_idle;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::optional<std::int64_t> pids_limit;     // <= 0: unlimited
    std::optional<std::uint16_t> blkio_weight;  // 10..1000
    std::vector<DeviceRate> weight_devices;
    std::vector<DeviceRate> read_bps, write_bps, read_iops, write_iops;  // rate 0: unlimited
    std::map<std::string, std::uint64_t> hugepage_limits;                // "2MB" -> bytes
    std::map<std::string, RdmaLimit> rdma;                               // by device
    std::map<std::string, std::string> unified;                          // cgroup v2 file -> text
};

struct Hook final {
    std::string path;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::optional<int> timeout;  // seconds
};

struct Hooks final {
    std::vector<Hook> prestart;
    std::vector<Hook> create_runtime;
    std::vector<Hook> create_container;
    std::vector<Hook> start_container;
    std::vector<Hook> poststart;
    std::vector<Hook> poststop;
};

struct TimeOffset final {
    std::int64_t secs = 0;
    std::uint32_t nanosecs = 0;
};

struct Linux final {
    std::vector<Namespace> namespaces;
    std::vector<IdMapping> uid_mappings;
    std::vector<IdMapping> gid_mappings;
    std::map<std::string, TimeOffset> time_offsets;  // "monotonic", "boottime"
    std::vector<Device> devices;
    std::string cgroups_path;
    Resources resources;
    std::map<std::string, std::string> sysctl;
    std::optional<Seccomp> seccomp;
    std::string rootfs_propagation;  // "", private, rprivate, slave, rslave, shared, unbindable
    std::vector<std::string> masked_paths;
    std::vector<std::string> readonly_paths;
    std::string mount_label;

    /// The namespace of that type, or nullptr.
    const Namespace* find_namespace(std::string_view type) const;
};

struct Spec final {
    std::string version = std::string(kSpecVersion);
    std::optional<Process> process;
    Root root;
    std::string hostname;
    std::string domainname;
    std::vector<Mount> mounts;
    Hooks hooks;
    std::map<std::string, std::string> annotations;
    Linux linux_part;
};

/// Reads and validates config.json. Throws Error{invalid} naming the path of what is wrong.
Spec parse_spec(std::string_view text);
/// Reads and validates one process object, as `exec --process` takes it.
Process parse_process(std::string_view text);
Process parse_process_json(const nlohmann::json& object);
/// Reads the `linux.resources` object, as `update --resources` takes it.
Resources parse_resources(std::string_view text);

nlohmann::json to_json(const Spec& spec);
nlohmann::json to_json(const Process& process);

/// Checks what parsing alone does not: absolute paths, known namespaces, no duplicates.
void validate(const Spec& spec);
void validate(const Process& process);

}  // namespace berth::oci
