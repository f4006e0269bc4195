#include "engine/model/times.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string>

#include "base/error.h"

namespace berth::engine::model {

namespace {

struct Unit final {
    std::string_view name;
    std::int64_t ns;
};
// Longer names first: "ms" begins with "m".
constexpr std::array<Unit, 8> kUnits = {{{"ns", 1},
                                         {"us", 1'000},
                                         {"µs", 1'000},
                                         {"ms", 1'000'000},
                                         {"s", 1'000'000'000},
                                         {"m", 60'000'000'000},
                                         {"h", 3'600'000'000'000},
                                         {"d", 86'400'000'000'000}}};

/// Up to nine digits after the dot as nanoseconds.
std::int64_t fraction_ns(std::string_view digits) {
    std::int64_t value = 0;
    for (std::size_t i = 0; i < 9; ++i)
        value = value * 10 + (i < digits.size() ? digits[i] - '0' : 0);
    return value;
}

bool all_digits(std::string_view text) {
    for (const char c : text)
        if (std::isdigit(static_cast<unsigned char>(c)) == 0) return false;
    return !text.empty();
}

std::optional<Timestamp> unix_time(std::string_view text) {
    const std::size_t dot = text.find('.');
    const std::string_view whole = text.substr(0, dot);
    const std::string_view fraction =
        dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
    if (!all_digits(whole) || whole.size() > 10) return std::nullopt;
    if (!fraction.empty() && !all_digits(fraction)) return std::nullopt;
    std::int64_t seconds = 0;
    std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
    // Past the year 2262 nanoseconds do not fit: such a time is "never".
    if (seconds > 9'223'372'035) seconds = 9'223'372'035;
    return Timestamp{seconds * 1'000'000'000 + fraction_ns(fraction)};
}

}  // namespace

std::optional<std::int64_t> go_duration(std::string_view text) {
    double total = 0;
    bool negative = false;
    if (text.starts_with('-')) {
        negative = true;
        text.remove_prefix(1);
    }
    if (text.empty()) return std::nullopt;
    while (!text.empty()) {
        // from_chars would also take a sign, "inf" and "nan".
        if (std::isdigit(static_cast<unsigned char>(text.front())) == 0 && text.front() != '.')
            return std::nullopt;
        double number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number,
                                                  std::chars_format::fixed);
        if (error != std::errc()) return std::nullopt;
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        const Unit* unit = nullptr;
        for (const Unit& candidate : kUnits) {
            if (!text.starts_with(candidate.name)) continue;
            unit = &candidate;
            break;
        }
        if (unit == nullptr) return std::nullopt;
        text.remove_prefix(unit->name.size());
        total += number * static_cast<double>(unit->ns);
    }
    if (total > 9.2e18) return std::nullopt;
    return static_cast<std::int64_t>(negative ? -total : total);
}

Timestamp time_from_query(std::string_view text, Timestamp now) {
    if (text.empty() || text == "0") return {};
    if (const auto unix = unix_time(text)) return *unix;
    if (const auto duration = go_duration(text)) {
        std::int64_t ns = 0;
        if (__builtin_sub_overflow(now.ns, *duration, &ns)) ns = INT64_MAX;
        return Timestamp{ns};
    }
    try {
        return parse_rfc3339(text);
    } catch (const Error&) {
        throw Error(ErrorKind::invalid, "failed to parse value as time or duration: \"{}\"", text);
    }
}

SteadyTime steady_time_past(Timestamp at) {
    if (at.ns == 0) return SteadyTime::max();
    const std::chrono::nanoseconds left(at.ns - Timestamp::now().ns);
    // Waking before the other clock's moment would mean looking again and again.
    return std::chrono::steady_clock::now() +
           std::clamp<std::chrono::nanoseconds>(left, std::chrono::hours(-1),
                                                std::chrono::hours(24 * 365)) +
           std::chrono::milliseconds(1);
}

}  // namespace berth::engine::model
