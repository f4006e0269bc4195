#include <array>

#include "daemon/options.h"

namespace berth::daemon {
namespace {

using enum Kind;
using C = Config;

constexpr auto kIgnored = Support::ignored;
constexpr auto kRefused = Support::refused;
constexpr std::monostate kNone{};

constexpr std::string_view kNoSwarm = "there is no swarm mode";
constexpr std::string_view kNoContainerd = "berth needs no containerd";
constexpr std::string_view kNoIpv6 = "IPv6 on the default bridge is not supported yet";
constexpr std::string_view kOwnRules = "packet rules live in berth's own network namespace only";

constexpr auto kOptions = std::to_array<Option>({
    // Sockets, TLS, API
    {"hosts", "host", 'H', list, &C::hosts, "Daemon socket(s) to connect to"},
    {"group", "group", 'G', string, &C::group, "Group for the unix socket"},
    {"tls", "tls", 0, choice, &C::tls, "Use TLS on tcp hosts; implied by --tlsverify"},
    {"tlsverify", "tlsverify", 0, choice, &C::tls_verify, "Use TLS and verify the remote"},
    {"tlscacert", "tlscacert", 0, string, &C::tls_ca_cert, "Trust certs signed only by this CA"},
    {"tlscert", "tlscert", 0, string, &C::tls_cert, "Path to TLS certificate file"},
    {"tlskey", "tlskey", 0, string, &C::tls_key, "Path to TLS key file"},
    {"min-api-version", "", 0, string, &C::min_api_version, "Lowest API version to serve"},
    {"authorization-plugins", "authorization-plugin", 0, list, kNone,
     "Authorization plugins to load", kRefused, "plugins are not supported"},
    {"debug", "debug", 'D', boolean, &C::debug, "Enable debug mode"},
    {"experimental", "experimental", 0, boolean, kNone, "Enable experimental features", kIgnored,
     "there are no experimental features"},
    {"metrics-addr", "metrics-addr", 0, string, kNone, "Address of the metrics API", kRefused,
     "there is no metrics listener yet"},

    // State and directories
    {"data-root", "data-root", 0, string, &C::data_root, "Root directory of persistent state"},
    {"exec-root", "exec-root", 0, string, &C::exec_root, "Root directory for execution state"},
    {"pidfile", "pidfile", 'p', string, &C::pidfile, "Path to use for the daemon PID file"},
    {"", "config-file", 0, string, &C::config_file, "Daemon configuration file"},
    {"rootless", "rootless", 0, boolean, kNone, "Enable rootless mode", kIgnored,
     "berth is always rootless"},
    {"userns-remap", "userns-remap", 0, string, kNone, "User/Group for user namespaces", kRefused,
     "containers always run in the user's own namespace"},
    {"live-restore", "live-restore", 0, boolean, &C::live_restore,
     "Keep containers running while the daemon is down"},
    {"shutdown-timeout", "shutdown-timeout", 0, integer, &C::shutdown_timeout,
     "Seconds to wait for containers at shutdown"},
    {"default-stop-timeout", "default-stop-timeout", 0, integer, &C::default_stop_timeout,
     "Seconds a container has to stop"},
    {"labels", "label", 0, list, &C::labels, "key=value labels of the daemon"},

    // Logging of the daemon
    {"log-level", "log-level", 'l', string, &C::log_level,
     "Logging level (debug, info, warn, error, fatal)"},
    {"log-format", "log-format", 0, string, &C::log_format, "Logging format (text)"},
    {"raw-logs", "raw-logs", 0, boolean, kNone, "Full timestamps without colours", kIgnored,
     "the log is always raw"},

    // Container defaults
    {"log-driver", "log-driver", 0, string, &C::log_driver, "Default driver for container logs"},
    {"log-opts", "log-opt", 0, map, &C::log_opts, "Default log driver options for containers"},
    {"default-runtime", "default-runtime", 0, string, &C::default_runtime,
     "Default OCI runtime for containers"},
    {"runtimes", "add-runtime", 0, runtimes, &C::runtimes, "Register an OCI runtime: name=path"},
    {"default-ulimits", "default-ulimit", 0, ulimits, &C::default_ulimits,
     "Default ulimits for containers: name=soft[:hard]"},
    {"default-shm-size", "default-shm-size", 0, bytes, &C::default_shm_size,
     "Default shm size for containers"},
    {"default-ipc-mode", "default-ipc-mode", 0, string, &C::default_ipc_mode,
     "Default mode for containers ipc (shareable, private)"},
    {"default-cgroupns-mode", "default-cgroupns-mode", 0, string, &C::default_cgroupns_mode,
     "Default cgroup namespace mode (host, private)"},
    {"default-userns-mode", "default-userns-mode", 0, string, &C::default_userns_mode,
     "Default user namespace mode (host, keep-id[:uid=N,gid=N])"},
    {"cgroup-parent", "cgroup-parent", 0, string, &C::cgroup_parent,
     "Parent cgroup of the containers: NAME.slice or a directory that was delegated by chown"},
    {"exec-opts", "exec-opt", 0, list, &C::exec_opts, "Runtime execution options"},
    {"init", "init", 0, boolean, &C::init, "Run an init in the container"},
    {"init-path", "init-path", 0, string, &C::init_path, "Path to the init program"},
    {"no-new-privileges", "no-new-privileges", 0, boolean, &C::no_new_privileges,
     "Set no-new-privileges by default for new containers"},
    {"seccomp-profile", "seccomp-profile", 0, string, &C::seccomp_profile,
     "Path to seccomp profile, builtin or unconfined"},
    {"selinux-enabled", "selinux-enabled", 0, boolean, kNone, "Enable SELinux support", kRefused,
     "SELinux labels are not supported"},
    {"cpu-rt-period", "cpu-rt-period", 0, integer, kNone, "Real-time period", kRefused,
     "it exists in cgroup v1 only, which a plain user cannot write"},
    {"cpu-rt-runtime", "cpu-rt-runtime", 0, integer, kNone, "Real-time runtime", kRefused,
     "it exists in cgroup v1 only, which a plain user cannot write"},
    {"node-generic-resources", "node-generic-resource", 0, list, kNone, "Advertised resources",
     kIgnored, kNoSwarm},
    {"cdi-spec-dirs", "cdi-spec-dir", 0, list, kNone, "CDI specification directories", kIgnored,
     "CDI devices are not supported"},
    {"nri-opts", "nri-opts", 0, object, kNone, "Node Resource Interface", kRefused,
     "NRI plugins are not supported"},

    // Images and registries
    {"storage-driver", "storage-driver", 's', string, &C::storage_driver,
     "Storage driver (overlay2, fuse-overlayfs, vfs)"},
    {"storage-opts", "storage-opt", 0, list, kNone, "Storage driver options", kRefused,
     "the storage drivers have no options"},
    {"registry-mirrors", "registry-mirror", 0, list, &C::registry_mirrors,
     "Preferred registry mirrors"},
    {"insecure-registries", "insecure-registry", 0, list, &C::insecure_registries,
     "Registries reached without verified TLS"},
    {"max-concurrent-downloads", "max-concurrent-downloads", 0, integer,
     &C::max_concurrent_downloads, "Layers downloaded at a time"},
    {"max-concurrent-uploads", "max-concurrent-uploads", 0, integer, &C::max_concurrent_uploads,
     "Layers uploaded at a time"},
    {"max-download-attempts", "max-download-attempts", 0, integer, &C::max_download_attempts,
     "Attempts for each layer"},
    {"max-layer-size", "max-layer-size", 0, bytes, &C::max_layer_size,
     "Largest content of an image layer, holes included"},
    {"max-layer-entries", "max-layer-entries", 0, integer, &C::max_layer_entries,
     "Most files of an image layer"},
    {"max-layer-expansion", "max-layer-expansion", 0, integer, &C::max_layer_expansion,
     "How many times its size a layer beyond 32 GiB may expand to (0: any)"},
    {"proxies.http-proxy", "http-proxy", 0, string, &C::http_proxy, "HTTP proxy for pulls"},
    {"proxies.https-proxy", "https-proxy", 0, string, &C::https_proxy, "HTTPS proxy for pulls"},
    {"proxies.no-proxy", "no-proxy", 0, string, &C::no_proxy, "Hosts reached without the proxy"},
    {"allow-nondistributable-artifacts", "allow-nondistributable-artifacts", 0, list, kNone,
     "Deprecated", kIgnored, "it is deprecated"},

    // Networking
    {"bridge", "bridge", 'b', string, &C::bridge, "'none' disables the default network"},
    {"bip", "bip", 0, string, &C::bip, "Address of the default bridge"},
    {"bip6", "bip6", 0, string, kNone, "IPv6 address of the bridge", kRefused, kNoIpv6},
    {"fixed-cidr", "fixed-cidr", 0, string, &C::fixed_cidr, "IPv4 subnet for fixed addresses"},
    {"fixed-cidr-v6", "fixed-cidr-v6", 0, string, kNone, "IPv6 subnet", kRefused, kNoIpv6},
    {"ipv6", "ipv6", 0, boolean, kNone, "Enable IPv6 networking", kRefused, kNoIpv6},
    {"default-gateway", "default-gateway", 0, string, &C::default_gateway,
     "Default gateway of the default bridge"},
    {"default-gateway-v6", "default-gateway-v6", 0, string, kNone, "IPv6 gateway", kRefused,
     kNoIpv6},
    {"default-address-pools", "default-address-pool", 0, pools, &C::default_address_pools,
     "Pools of automatic subnets: base=CIDR,size=N"},
    {"default-network-opts", "default-network-opt", 0, object, kNone, "Options of new networks",
     kRefused, "give the options when the network is made"},
    {"mtu", "mtu", 0, integer, &C::mtu, "MTU of the default network"},
    {"icc", "icc", 0, boolean, &C::icc, "Enable inter-container communication"},
    {"ip", "ip", 0, string, &C::ip, "Host IP for port publishing from the default bridge"},
    {"ip-forward", "ip-forward", 0, boolean, kNone, "Enable forwarding", kIgnored, kOwnRules},
    {"ip-forward-no-drop", "ip-forward-no-drop", 0, boolean, kNone, "Keep the forward policy",
     kIgnored, kOwnRules},
    {"ip-masq", "ip-masq", 0, boolean, &C::ip_masq, "Enable masquerading"},
    {"iptables", "iptables", 0, boolean, kNone, "Add packet rules", kIgnored, kOwnRules},
    {"ip6tables", "ip6tables", 0, boolean, kNone, "Add IPv6 rules", kIgnored, kOwnRules},
    {"firewall-backend", "firewall-backend", 0, string, kNone, "Firewall backend", kIgnored,
     kOwnRules},
    {"userland-proxy", "userland-proxy", 0, boolean, kNone, "Use a userland proxy", kIgnored,
     "the network process forwards published ports"},
    {"userland-proxy-path", "userland-proxy-path", 0, string, kNone, "Userland proxy program",
     kIgnored, "the network process forwards published ports"},
    {"allow-direct-routing", "allow-direct-routing", 0, boolean, kNone, "Direct routing", kIgnored,
     kOwnRules},
    {"bridge-accept-fwmark", "bridge-accept-fwmark", 0, string, kNone, "Accept marked packets",
     kRefused, kOwnRules},
    {"dns", "dns", 0, list, &C::dns, "DNS server to use"},
    {"dns-opts", "dns-opt", 0, list, &C::dns_opts, "DNS options to use"},
    {"dns-search", "dns-search", 0, list, &C::dns_search, "DNS search domains to use"},
    {"host-gateway-ips", "host-gateway-ip", 0, list, &C::host_gateway_ips,
     "Addresses that host-gateway stands for"},
    {"network-control-plane-mtu", "network-control-plane-mtu", 0, integer, kNone, "Swarm MTU",
     kIgnored, kNoSwarm},
    {"network-diagnostic-port", "network-diagnostic-port", 0, integer, kNone, "Diagnostic port",
     kIgnored, kNoSwarm},

    // containerd, build, features, swarm
    {"containerd", "containerd", 0, string, kNone, "containerd socket", kIgnored, kNoContainerd},
    {"containerd-namespace", "containerd-namespace", 0, string, kNone, "containerd namespace",
     kIgnored, kNoContainerd},
    {"containerd-plugin-namespace", "containerd-plugins-namespace", 0, string, kNone,
     "containerd namespace of plugins", kIgnored, kNoContainerd},
    {"cri-containerd", "cri-containerd", 0, boolean, kNone, "Start containerd with CRI", kRefused,
     kNoContainerd},
    {"features", "feature", 0, features, &C::features, "Enable features: name[=bool]"},
    {"builder", "", 0, object, kNone, "", kIgnored, "there is no builder yet"},
    {"swarm-default-advertise-addr", "swarm-default-advertise-addr", 0, string, kNone,
     "Swarm address", kIgnored, kNoSwarm},
    {"deprecated-key-path", "", 0, string, kNone, "", kIgnored, "it is deprecated"},
    {"", "restart", 'r', boolean, kNone, "Deprecated", kIgnored, "it is deprecated"},
});

}  // namespace

std::span<const Option> options() { return kOptions; }

const Option* find_flag(std::string_view text) {
    for (const Option& option : kOptions)
        if (!text.empty() && option.flag == text) return &option;
    return nullptr;
}

const Option* find_letter(char letter) {
    for (const Option& option : kOptions)
        if (letter != 0 && option.letter == letter) return &option;
    return nullptr;
}

const Option* find_key(std::string_view key) {
    for (const Option& option : kOptions)
        if (!key.empty() && option.key == key) return &option;
    return nullptr;
}

}  // namespace berth::daemon
