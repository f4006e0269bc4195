// The `Status` column of docker ps: "Up 5 minutes", "Exited (0) 3 seconds ago". Pure.
#pragma once

#include <cstdint>
#include <string>

#include "engine/model/record.h"

namespace berth::engine::model {

/// "Less than a second", "1 second", "About a minute", "3 weeks", …
std::string human_duration(std::int64_t seconds);
std::string status_text(const State& state, Timestamp now);

}  // namespace berth::engine::model
