// How registries are reached: from daemon.json (registry-mirrors, insecure-registries, proxies).
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace berth::image {

struct RegistrySettings final {
    std::vector<std::string> mirrors;              // URLs; for docker.io only
    std::vector<std::string> insecure_registries;  // host[:port] or CIDR; loopback always is
    std::string http_proxy;                        // empty: from the environment
    std::string https_proxy;
    std::string no_proxy;
    /// Where certs.d lies; the first that has the host's directory wins.
    std::vector<std::string> certificate_directories = default_certificate_directories();
    std::string user_agent = "docker/28.5.2 berth";

    int download_attempts = 5;
    std::chrono::milliseconds retry_step{5000};  // the n-th pause is n times as long
    std::chrono::seconds connect_timeout{30};
    std::chrono::seconds stall_timeout{60};
    int parallel_downloads = 3;
    int parallel_uploads = 5;
    int upload_attempts = 5;

    /// $XDG_CONFIG_HOME/docker/certs.d (or ~/.config/…) and /etc/docker/certs.d
    static std::vector<std::string> default_certificate_directories();
};

}  // namespace berth::image
