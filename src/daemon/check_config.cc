// Checks of the merged configuration, in dockerd's words where clients or people match them.
#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/log.h"
#include "daemon/options.h"

namespace berth::daemon {
namespace {

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
    std::array<unsigned char, sizeof(in6_addr)> buffer{};
    for (const std::string& address : addresses)
        if (::inet_pton(AF_INET, address.c_str(), buffer.data()) != 1 &&
            ::inet_pton(AF_INET6, address.c_str(), buffer.data()) != 1)
            throw Error(ErrorKind::invalid, "{} is not an ip address", address);
}

void check_mirrors(const std::vector<std::string>& mirrors) {
    for (const std::string& mirror : mirrors) {
        const auto scheme_end = mirror.find("://");
        if (!mirror.starts_with("http://") && !mirror.starts_with("https://"))
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
    if (config.mtu < 0) throw Error(ErrorKind::invalid, "invalid default MTU: {}", config.mtu);
    if (config.shutdown_timeout < -1)
        throw Error(ErrorKind::invalid, "invalid shutdown timeout: {}", config.shutdown_timeout);
    if (config.default_stop_timeout < 0)
        throw Error(ErrorKind::invalid, "invalid default stop timeout: {}",
                    config.default_stop_timeout);
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
    check_one_of("default cgroup namespace", config.default_cgroupns_mode, {"private", "host"});
    if (!config.bridge.empty()) check_one_of("bridge", config.bridge, {"none", "docker0"});
    for (const std::string& host : config.hosts) check_host(config, host, warnings);
    check_labels(config.labels);
    check_addresses(config.dns);
    check_addresses(config.host_gateway_ips);
    check_addresses({config.ip});
    check_mirrors(config.registry_mirrors);
    check_numbers(config);
    check_runtimes(config);
    check_directory("data-root", config.data_root);
    check_directory("exec-root", config.exec_root);
    check_directory("pidfile", config.pidfile);
    return warnings;
}

}  // namespace berth::daemon
