// The API's listening sockets. The supervisor owns them and lends them to each engine, so that
// clients connect through an engine's crash and restart.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/config.h"

namespace berth::daemon {

struct Listener final {
    std::string host;  // as configured: unix:///path, tcp://127.0.0.1:2375, fd://
    UniqueFd fd;
    std::string path;  // of a unix socket that we made, removed at the end
};

/// `inherited` are the sockets of the service manager: each is served, one that is bound to the
/// path of a unix host in its place, the others as fd://. Throws Error naming the host.
std::vector<Listener> open_listeners(const Config& config, std::vector<UniqueFd> inherited);

}  // namespace berth::daemon
