// The size of an image as clients of old read it, in lists, inspections and df.
#pragma once

#include <nlohmann/json.hpp>

#include "api/version.h"

namespace berth::api {

/// Until 1.43 every image carried its size twice.
inline void add_virtual_size(ApiVersion version, nlohmann::json& image) {
    if (version < ApiVersion{1, 44} && image.contains("Size")) image["VirtualSize"] = image["Size"];
}

}  // namespace berth::api
