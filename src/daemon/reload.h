// What SIGHUP may change in a running daemon. Supervisor and engine both decide by these functions,
// so that they agree. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/config.h"

namespace berth::daemon {

struct Reloaded final {
    Config config;                          // the running one with what may change at once
    std::vector<std::string> changed;       // keys that changed in it
    std::vector<std::string> need_restart;  // keys that differ from the file and did not change
};

Reloaded reload_config(const Config& running, const Config& wanted);

/// The values that can be reloaded, as attributes of the event `daemon reload`.
std::map<std::string, std::string> reloadable_values(const Config& config);

}  // namespace berth::daemon
