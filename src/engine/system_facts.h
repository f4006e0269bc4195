// What GET /info and /version need of the other services, gathered by Engine.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/model/validate.h"
#include "engine/system.h"

namespace berth::engine {

struct ContainerCounts final {
    int all = 0, running = 0, paused = 0;
};

struct SystemDependencies final {
    Context context;
    model::Abilities abilities;
    std::function<ContainerCounts()> containers;
    std::function<std::size_t()> images;
    std::function<std::vector<std::string>()> network_warnings;
    std::string id;  // of this engine, kept over restarts
    Timestamp started;
};

/// What does not work here, a line each, for /info and the log.
std::vector<std::string> system_warnings(const SystemDependencies& dependencies);

/// This machine's, as its kernel has it now.
std::string host_name();

}  // namespace berth::engine
