// Translates the daemon's configuration into what the engine takes. Pure.
#pragma once

#include "daemon/config.h"
#include "engine/settings.h"

namespace berth::daemon {

engine::Settings engine_settings(const Config& config, const engine::CgroupDelegation& cgroup);

}  // namespace berth::daemon
