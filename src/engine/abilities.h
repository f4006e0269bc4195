// What the machine gives the engine: processors, delegated cgroup controllers. Read once at start.
#pragma once

#include <string>
#include <vector>

#include "engine/model/validate.h"
#include "engine/settings.h"

namespace berth::engine {

model::Abilities find_abilities(const Settings& settings);

}  // namespace berth::engine
