// Wall-clock times as Docker prints them, and a monotonic clock for deadlines.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth {

/// A point on the wall clock, in nanoseconds since the epoch; zero means "never".
struct Timestamp final {
    std::int64_t ns = 0;
    static Timestamp now();
    auto operator<=>(const Timestamp&) const = default;
    std::int64_t seconds() const { return ns / 1'000'000'000; }
};

enum class Fraction {
    trimmed,  // as Go's RFC3339Nano: trailing zeros dropped, no dot when none is left
    nine,     // always nine digits, as in log time stamps
};

/// RFC 3339 in UTC with nanoseconds; the zero time is Go's "0001-01-01T00:00:00Z".
std::string rfc3339(Timestamp at, Fraction fraction = Fraction::trimmed);
/// Reads RFC 3339 with any offset. Throws Error{invalid}.
Timestamp parse_rfc3339(std::string_view text);

using SteadyTime = std::chrono::steady_clock::time_point;

}  // namespace berth
