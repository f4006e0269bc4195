#include "api/own_socket.h"

#include <unistd.h>

#include <array>

namespace berth::api {
namespace {

constexpr std::array<const char*, 2> kRootSockets{"/var/run/docker.sock", "/run/docker.sock"};

void replace_sources(engine::model::HostConfig& host, const std::string& from,
                     const std::string& to) {
    for (std::string& bind : host.binds)
        if (bind.starts_with(from + ":")) bind.replace(0, from.size(), to);
    for (engine::model::MountObject& mount : host.mounts)
        if (mount.type == "bind" && mount.source == from) mount.source = to;
}

}  // namespace

void bind_own_socket(engine::model::HostConfig& host, const std::string& own) {
    if (own.empty()) return;
    for (const char* path : kRootSockets)
        if (::access(path, W_OK) < 0) replace_sources(host, path, own);
}

}  // namespace berth::api
