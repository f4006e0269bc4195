// One sample as GET /containers/X/stats sends it. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/containers/stats_sample.h"

namespace berth::engine {

/// `before` is the sample that the client got last; a default one when there is none. A sample
/// without a time is the object of a container that does not run.
nlohmann::json stats_json(const std::string& id, const std::string& name, const StatsSample& sample,
                          const StatsSample& before);

}  // namespace berth::engine
