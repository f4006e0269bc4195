// Checks of the merged configuration, in dockerd's words where clients or people match them.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>

#include "base/error.h"
#include "base/ip_address.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/delegation_plan.h"
#include "daemon/options.h"
#include "shim/log_options.h"

namespace berth::daemon {
namespace {

constexpr int kOldestApiMinor = 24;
constexpr int kNewestApiMinor = 51;
constexpr int kLargestMtu = 65535;

void check_host(const Config& config, const std::string& host, std::vector<std::string>& warnings) {
    if (host.starts_with("unix://") || host.starts_with("fd://")) return;
    if (!host.starts_with("tcp://"))
        throw Error(ErrorKind::invalid,
                    "parse host: invalid bind address format: {}: use unix://, tcp:// or fd://",
                    host);
    const bool wants_tls = config.tls == Choice::yes || config.tls_verify == Choice::yes;
    if (wants_tls)
        throw Error(ErrorKind::invalid,
                    "{}: TLS on tcp hosts is not supported yet: reach the unix socket through ssh "
                    "(DOCKER_HOST=ssh://user@host)",
                    host);
    if (config.tls != Choice::no && config.tls_verify != Choice::no)
        throw Error(ErrorKind::invalid,
                    "{}: a TCP host without TLS gives everybody who reaches it the rights of this "
                    "user: if that is wanted, say --tlsverify=false",
                    host);
    warnings.push_back(fmt::format(
        "{}: the API is reachable without TLS: whoever reaches it has the rights of this user",
        host));
}

void check_labels(const std::vector<std::string>& labels) {
    std::map<std::string, std::string> seen;
    for (const std::string& label : labels) {
        const auto equals = label.find('=');
        if (equals == std::string::npos || equals == 0)
            throw Error(ErrorKind::invalid, "bad attribute format: {}", label);
        const auto [known, added] = seen.emplace(label.substr(0, equals), label);
        if (!added && known->second != label)
            throw Error(ErrorKind::invalid, "conflict labels for {} and {}", known->second, label);
    }
}

void check_one_of(std::string_view key, const std::string& value,
                  std::initializer_list<std::string_view> allowed) {
    if (std::find(allowed.begin(), allowed.end(), value) == allowed.end())
        throw Error(ErrorKind::invalid, "invalid {}: {}", key, value);
}

void check_addresses(const std::vector<std::string>& addresses) {
    for (const std::string& address : addresses)
        if (!IpAddress::is_valid(address))
            throw Error(ErrorKind::invalid, "{} is not an ip address", address);
}

void check_mirrors(const std::vector<std::string>& mirrors) {
    for (const std::string& mirror : mirrors) {
        const auto scheme_end = mirror.find("://");
        if (!is_web_url(mirror))
            throw Error(ErrorKind::invalid, "invalid mirror: unsupported scheme \"{}\" in \"{}\"",
                        mirror.substr(0, scheme_end == std::string::npos ? 0 : scheme_end), mirror);
        const auto slash = mirror.find('/', scheme_end + 3);
        if (slash != std::string::npos && slash + 1 != mirror.size())
            throw Error(ErrorKind::invalid,
                        "invalid mirror: path, query, or fragment at end of the URI \"{}\"",
                        mirror);
    }
}

void check_numbers(const Config& config) {
    if (config.max_concurrent_downloads < 1)
        throw Error(ErrorKind::invalid, "invalid max concurrent downloads: {}",
                    config.max_concurrent_downloads);
    if (config.max_concurrent_uploads < 1)
        throw Error(ErrorKind::invalid, "invalid max concurrent uploads: {}",
                    config.max_concurrent_uploads);
    if (config.max_download_attempts < 1)
        throw Error(ErrorKind::invalid, "invalid max download attempts: {}",
                    config.max_download_attempts);
    for (const std::int64_t limit : {config.max_layer_size, config.max_layer_entries})
        if (limit < 1) throw Error(ErrorKind::invalid, "invalid limit of a layer: {}", limit);
    if (config.max_layer_expansion < 0)
        throw Error(ErrorKind::invalid, "invalid max layer expansion: {}",
                    config.max_layer_expansion);
    if (config.mtu < 0 || config.mtu > kLargestMtu)
        throw Error(ErrorKind::invalid, "invalid default MTU: {}", config.mtu);
    if (config.shutdown_timeout < -1)
        throw Error(ErrorKind::invalid, "invalid shutdown timeout: {}", config.shutdown_timeout);
    if (config.default_stop_timeout < 0)
        throw Error(ErrorKind::invalid, "invalid default stop timeout: {}",
                    config.default_stop_timeout);
}

void check_ulimits(const Config& config) {
    for (const auto& [name, limit] : config.default_ulimits)
        if (limit.hard >= 0 && limit.soft > limit.hard)
            throw Error(ErrorKind::invalid,
                        "default-ulimits: {}: ulimit soft limit must be less than or equal to hard "
                        "limit: {} > {}",
                        name, limit.soft, limit.hard);
}

void check_runtimes(const Config& config) {
    if (config.runtimes.contains("runc"))
        throw Error(ErrorKind::invalid, "runtime name 'runc' is reserved");
    if (config.default_runtime != "runc" && !config.runtimes.contains(config.default_runtime))
        throw Error(ErrorKind::invalid, "specified default runtime '{}' does not exist",
                    config.default_runtime);
    for (const auto& [name, runtime] : config.runtimes)
        if (runtime.path.empty())
            throw Error(ErrorKind::invalid, "runtime '{}': the path is missing", name);
    for (const auto& [name, runtime] : config.runtimes)
        if (!runtime.path.starts_with('/'))
            throw Error(ErrorKind::invalid, "runtime '{}': '{}' is not an absolute path", name,
                        runtime.path);
}

void check_cidr(std::string_view key, const std::string& text) {
    if (text.empty()) return;
    const auto subnet = Subnet::from(text);
    if (!subnet || subnet->address.family != IpFamily::v4)
        throw Error(ErrorKind::invalid, "{}: invalid CIDR address: {}", key, text);
}

void check_network(const Config& config) {
    if (!config.bridge.empty()) check_one_of("bridge", config.bridge, {"none", "docker0"});
    if (config.bridge == "none" && !config.bip.empty())
        throw Error(ErrorKind::invalid, "bip needs a default bridge, and bridge is none");
    check_addresses(config.dns);
    check_addresses(config.host_gateway_ips);
    check_addresses({config.ip});
    if (!config.default_gateway.empty()) check_addresses({config.default_gateway});
    check_cidr("bip", config.bip);
    check_cidr("fixed-cidr", config.fixed_cidr);
    for (const AddressPool& pool : config.default_address_pools) {
        check_cidr("default-address-pools", pool.base);
        const int prefix = std::atoi(pool.base.c_str() + pool.base.find('/') + 1);
        if (pool.size < prefix || pool.size > 30)
            throw Error(ErrorKind::invalid, "default-address-pools: invalid size {} of {}",
                        pool.size, pool.base);
    }
}

void check_api_version(const std::string& text) {
    int minor = 0;
    const char* end = text.data() + text.size();
    const bool readable =
        text.starts_with("1.") && std::from_chars(text.data() + 2, end, minor).ptr == end;
    if (!readable || minor < kOldestApiMinor || minor > kNewestApiMinor)
        throw Error(ErrorKind::invalid, "invalid min-api-version: {}: 1.{} to 1.{} can be served",
                    text, kOldestApiMinor, kNewestApiMinor);
}

// The engine checks a container's own choice in the same words.
void check_log(const Config& config) {
    if (config.log_driver == "none") return;
    shim::check_log_options(config.log_driver, config.log_opts);
    const auto size = config.log_opts.find("max-size");
    if (size != config.log_opts.end() && size->second != "-1" && parse_bytes(size->second) == 0)
        throw Error(ErrorKind::invalid, "log opt max-size: invalid size: '{}'", size->second);
}

void check_cgroups(const Config& config) {
    for (const std::string& option : config.exec_opts) {
        constexpr std::string_view kDriver = "native.cgroupdriver=";
        if (!option.starts_with(kDriver))
            throw Error(ErrorKind::invalid, "invalid option in exec-opts: {}", option);
        check_one_of("native.cgroupdriver", option.substr(kDriver.size()),
                     {"cgroupfs", "systemd", "none"});
    }
    if (!is_cgroup_parent(config.cgroup_parent))
        throw Error(ErrorKind::invalid,
                    "cgroup-parent for systemd cgroup should be a valid slice named as "
                    "\"xxx.slice\", or an absolute path, not \"{}\"",
                    config.cgroup_parent);
    const bool path = config.cgroup_parent.starts_with('/');
    const std::string driver = wanted_cgroup_driver(config);
    if (path && driver == "systemd")
        throw Error(ErrorKind::invalid,
                    "cgroup-parent: the path {} needs native.cgroupdriver=cgroupfs",
                    config.cgroup_parent);
    if (!path && !config.cgroup_parent.empty() && driver == "cgroupfs")
        throw Error(ErrorKind::invalid,
                    "cgroup-parent: the slice {} needs native.cgroupdriver=systemd",
                    config.cgroup_parent);
}

// "spliced-egress" (on unless false) is read by the network process (net/protocol.h).
void check_features(const Config& config, std::vector<std::string>& warnings) {
    for (const auto& [name, wanted] : config.features)
        if (wanted && name != "spliced-egress")
            warnings.push_back(
                fmt::format("features: {} has no effect: there is no such feature", name));
}

void check_directory(std::string_view key, const std::string& path) {
    if (!path.starts_with('/'))
        throw Error(ErrorKind::invalid, "{}: '{}' is not an absolute path", key, path);
}

}  // namespace

std::vector<std::string> check_config(const Config& config) {
    std::vector<std::string> warnings;
    try {
        (void)log::level_from(config.log_level);
    } catch (const Error&) {
        throw Error(ErrorKind::invalid, "invalid logging level: {}", config.log_level);
    }
    check_one_of("log format", config.log_format, {"text"});
    check_one_of("default ipc mode", config.default_ipc_mode, {"private", "shareable"});
    check_one_of("default cgroup namespace", config.default_cgroupns_mode, {"", "private", "host"});
    const std::string& userns = config.default_userns_mode;
    if (!userns.empty() && userns != "host" && !userns.starts_with("keep-id"))
        throw Error(ErrorKind::invalid, "default userns mode: unknown mode {}", userns);
    check_log(config);
    check_cgroups(config);
    check_features(config, warnings);
    check_api_version(config.min_api_version);
    check_network(config);
    for (const std::string& host : config.hosts) check_host(config, host, warnings);
    check_labels(config.labels);
    check_mirrors(config.registry_mirrors);
    check_numbers(config);
    check_runtimes(config);
    check_ulimits(config);
    if (!config.init_path.empty()) check_directory("init-path", config.init_path);
    check_directory("data-root", config.data_root);
    check_directory("exec-root", config.exec_root);
    check_directory("pidfile", config.pidfile);
    return warnings;
}

}  // namespace berth::daemon
