// Names for containers that got none: adjective_surname. Pure but for the random numbers.
#pragma once

#include <functional>
#include <string>

namespace berth::engine::model {

/// Six tries (a digit is appended from the second on), then `short_id`. `taken` says which are
/// used.
std::string make_name(const std::function<bool(const std::string&)>& taken,
                      const std::string& short_id);

}  // namespace berth::engine::model
