// Times in queries: unix seconds with a fraction, RFC 3339, or a Go duration before now. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace berth::engine::model {

/// "1h30m", "1.5s", "300ms" in nanoseconds; nothing when it is no duration.
std::optional<std::int64_t> go_duration(std::string_view text);
/// Throws Error{invalid} naming the text; an empty one is the zero time.
Timestamp time_from_query(std::string_view text, Timestamp now);
/// A moment at which the wall clock is past `at`, to wait for; never for the zero time.
SteadyTime steady_time_past(Timestamp at);

}  // namespace berth::engine::model
