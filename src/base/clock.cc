#include "base/clock.h"

#include <ctime>

#include "base/error.h"

namespace berth {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

int digits(std::string_view text, std::size_t at, std::size_t count) {
    if (at + count > text.size()) throw Error(ErrorKind::invalid, "time '{}' is too short", text);
    int value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
        if (text[i] < '0' || text[i] > '9')
            throw Error(ErrorKind::invalid, "time '{}' is not RFC 3339", text);
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

}  // namespace

Timestamp Timestamp::now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return {now.tv_sec * kSecond + now.tv_nsec};
}

std::string rfc3339(Timestamp at, Fraction fraction) {
    if (at.ns == 0) return "0001-01-01T00:00:00Z";
    std::time_t seconds = at.ns / kSecond;
    std::int64_t nanos = at.ns % kSecond;
    if (nanos < 0) {
        nanos += kSecond;
        --seconds;
    }
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::string text =
        fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1,
                    parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    std::string tail = fmt::format(".{:09}", nanos);
    if (fraction == Fraction::trimmed) {
        while (tail.back() == '0') tail.pop_back();
        if (tail == ".") tail.clear();
    }
    return text + tail + "Z";
}

Timestamp parse_rfc3339(std::string_view text) {
    std::tm parts{};
    parts.tm_year = digits(text, 0, 4) - 1900;
    parts.tm_mon = digits(text, 5, 2) - 1;
    parts.tm_mday = digits(text, 8, 2);
    parts.tm_hour = digits(text, 11, 2);
    parts.tm_min = digits(text, 14, 2);
    parts.tm_sec = digits(text, 17, 2);
    std::size_t at = 19;
    std::int64_t nanos = 0;
    if (at < text.size() && text[at] == '.') {
        std::int64_t scale = kSecond / 10;
        for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
            nanos += (text[at] - '0') * scale;
    }
    std::int64_t offset = 0;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
        offset = digits(text, at + 1, 2) * 3600 + digits(text, at + 4, 2) * 60;
        if (text[at] == '-') offset = -offset;
    } else if (at >= text.size() || (text[at] != 'Z' && text[at] != 'z')) {
        throw Error(ErrorKind::invalid, "time '{}' has no zone", text);
    }
    const std::int64_t seconds = ::timegm(&parts) - offset;
    // Go's zero time, year 1, is our "never".
    return {parts.tm_year + 1900 <= 1 ? 0 : seconds * kSecond + nanos};
}

}  // namespace berth
