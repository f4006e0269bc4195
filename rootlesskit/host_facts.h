// Everything that `berth doctor` looks at on the host, beyond what the start of berthd needs
// (preflight.h). Plain values; host_facts.cc reads them, probes.cc tries things for real, the
// check_*.cc files judge.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linux/filesystem.h"
#include "rootlesskit/host_files.h"
#include "rootlesskit/preflight.h"

namespace berth::rootlesskit {

/// A directory that berth uses, or will make.
struct DirectoryFacts final {
    std::string path;
    std::string nearest;  // itself, or the closest parent that exists
    int error = 0;        // errno of examining `nearest`
    bool is_directory = true;
    uid_t owner = 0;
    mode_t mode = 0700;
    bool writable = true;
    linux_os::FilesystemFacts filesystem;

    bool exists() const { return nearest == path; }
};

struct RuntimeFacts final {
    std::optional<std::string> variable;  // XDG_RUNTIME_DIR
    std::string fallback;                 // what is used without it
    DirectoryFacts directory;             // of the variable
};

struct KernelFacts final {
    std::string release;
    std::vector<std::string> missing;  // system calls that the kernel or a filter refuses
    std::optional<std::int64_t> inotify_instances;
    std::optional<std::int64_t> inotify_watches;
    std::optional<std::int64_t> keys;  // that a user may have
};

struct ResolverFacts final {
    bool present = true;  // /etc/resolv.conf can be read
    std::vector<std::string> servers;
    std::vector<std::string> silent;  // of those on loopback: nothing answers there
    std::string other_file;           // a resolv.conf that systemd-resolved keeps
};

struct NetworkFacts final {
    std::optional<std::int64_t> first_port;  // that a plain user may bind
    std::optional<std::pair<std::int64_t, std::int64_t>> ping_groups;
    std::int64_t last_group = 2147483647;  // that exists here: fewer inside a user namespace
    bool default_route = true;
    ResolverFacts resolver;
};

struct ContainerFacts final {
    std::string kind;       // "docker", "podman", "lxc", ...; empty: not inside one
    bool filtered = false;  // by seccomp
};

/// What trying it gave; empty texts: it works.
struct ProbeFacts final {
    std::optional<Finding> namespaces;  // why the holder did not start
    std::string overlay;
    std::string proc;
    std::string fuse_program;  // full path of fuse-overlayfs, or nothing
    int fuse_errno = 0;        // of opening /dev/fuse
};

struct HostFacts final {
    Facts start;
    RuntimeFacts runtime;
    DirectoryFacts data;
    KernelFacts kernel;
    NetworkFacts network;
    ContainerFacts container;
    ProbeFacts probes;
};

/// Where the caller's engine keeps its files.
struct HostPlaces final {
    std::optional<std::string> runtime_variable;  // XDG_RUNTIME_DIR
    std::string data_directory;
};

/// Reads and tries. The caller must have a single thread, and must be a program whose main()
/// answers the verb `holder` (holder.h). Throws Error only for what should always work.
HostFacts gather_host_facts(const HostPlaces& places, const HostFiles& files = HostFiles{});
ProbeFacts try_host(const Facts& facts, const DirectoryFacts& data);
/// The judgement: one finding a check, also for what is well.
std::vector<Finding> examine(const HostFacts& facts);

// Parts of the two, for tests.
NetworkFacts read_network(const HostFiles& files);
ContainerFacts read_container(const HostFiles& files);
std::vector<std::string> silent_servers(const std::vector<std::string>& servers);
Finding check_runtime_directory(const HostFacts& facts);
Finding check_data_directory(const HostFacts& facts);
Finding check_disk_space(const HostFacts& facts);
Finding check_kernel(const HostFacts& facts);
Finding check_limits(const HostFacts& facts);
Finding check_namespaces(const HostFacts& facts);
Finding check_apparmor(const HostFacts& facts);
Finding check_nested(const HostFacts& facts);
Finding check_storage(const HostFacts& facts);
Finding check_ports(const HostFacts& facts);
Finding check_ping(const HostFacts& facts);
Finding check_resolver(const HostFacts& facts);
Finding check_route(const HostFacts& facts);

}  // namespace berth::rootlesskit
