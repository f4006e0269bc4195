#include "archive/tar_format.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/error.h"
#include "base/number.h"

namespace berth::archive::tar_format {
namespace {

std::int64_t base256(std::string_view bytes) {
    // Two's complement, big endian; the marker bit is no part of the number.
    const bool negative = (bytes[0] & 0x40) != 0;
    std::uint64_t value = negative ? ~0ULL : 0;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        auto byte = static_cast<unsigned char>(bytes[at]);
        if (at == 0) byte = negative ? (byte | 0x80U) : (byte & 0x7fU);
        const std::uint64_t dropped = value >> 56;
        if (dropped != (negative ? 0xffU : 0U))
            throw Error(ErrorKind::invalid, "a number in the header is out of range");
        value = (value << 8) | byte;
    }
    if (((value >> 63) != 0) != negative)
        throw Error(ErrorKind::invalid, "a number in the header is out of range");
    return static_cast<std::int64_t>(value);
}

std::size_t record_length(std::string_view text) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    const auto digits = static_cast<std::size_t>(end - text.data());
    if (error != std::errc{} || digits >= text.size() || text[digits] != ' ' ||
        length < digits + 3 || length > text.size() || text[length - 1] != '\n')
        throw Error(ErrorKind::invalid, "malformed pax record");
    return length;
}

void add_record(std::string_view key, std::string_view value, Records& into) {
    constexpr std::string_view kOffset = "GNU.sparse.offset";
    constexpr std::string_view kSize = "GNU.sparse.numbytes";
    if (key == kOffset || key == kSize) {
        std::string& map = into["GNU.sparse.map"];
        if (!map.empty()) map += ',';
        map += value;
        return;
    }
    into.insert_or_assign(std::string(key), std::string(value));
}

}  // namespace

std::string text(std::string_view header, Field field) {
    const std::string_view bytes = header.substr(field.offset, field.size);
    return std::string(bytes.substr(0, bytes.find('\0')));
}

std::int64_t number(std::string_view header, Field field) {
    std::string_view bytes = header.substr(field.offset, field.size);
    if ((bytes[0] & 0x80) != 0) return base256(bytes);
    bytes = bytes.substr(0, bytes.find('\0'));
    while (!bytes.empty() && bytes.front() == ' ') bytes.remove_prefix(1);
    while (!bytes.empty() && bytes.back() == ' ') bytes.remove_suffix(1);
    if (bytes.empty()) return 0;
    const auto value = whole_number<std::int64_t>(bytes, 8);
    if (!value || *value < 0) throw Error(ErrorKind::invalid, "malformed number in the header");
    return *value;
}

std::int64_t decimal(std::string_view digits) {
    const auto value = whole_number<std::int64_t>(digits);
    if (!value) throw Error(ErrorKind::invalid, "malformed number in a pax record");
    return *value;
}

bool checksum_matches(std::string_view header) {
    std::int64_t plain = 0;
    std::int64_t with_sign = 0;  // what some historic writers computed
    for (std::size_t at = 0; at < kBlock; ++at) {
        const bool own = at >= kChecksum.offset && at < kChecksum.offset + kChecksum.size;
        const char byte = own ? ' ' : header[at];
        plain += static_cast<unsigned char>(byte);
        with_sign += static_cast<signed char>(byte);
    }
    const std::int64_t stored = number(header, kChecksum);
    return stored == plain || stored == with_sign;
}

bool is_zero_block(std::string_view header) {
    return std::all_of(header.begin(), header.end(), [](char byte) { return byte == '\0'; });
}

void parse_pax(std::string_view rest, Records& into) {
    while (!rest.empty()) {
        const std::size_t length = record_length(rest);
        std::string_view record = rest.substr(0, length - 1);
        rest.remove_prefix(length);
        record.remove_prefix(record.find(' ') + 1);
        const std::size_t equals = record.find('=');
        if (equals == std::string_view::npos || equals == 0)
            throw Error(ErrorKind::invalid, "malformed pax record");
        add_record(record.substr(0, equals), record.substr(equals + 1), into);
    }
}

std::string pax_record(std::string_view key, std::string_view value) {
    const std::size_t rest = key.size() + value.size() + 3;  // space, '=', newline
    std::size_t length = rest;
    while (length != rest + std::to_string(length).size())
        length = rest + std::to_string(length).size();
    return fmt::format("{} {}={}\n", length, key, value);
}

Timestamp parse_time(std::string_view whole) {
    const std::size_t dot = whole.find('.');
    const std::int64_t seconds = decimal(whole.substr(0, dot));
    // Beyond the 292 years around the epoch that nanoseconds in 64 bits can say.
    constexpr std::int64_t kMaxSeconds = 9'200'000'000;
    if (std::llabs(seconds) > kMaxSeconds)
        throw Error(ErrorKind::invalid, "time stamp is out of range");
    std::int64_t nanoseconds = 0;
    if (dot != std::string_view::npos && dot + 1 < whole.size()) {
        std::string fraction(whole.substr(dot + 1, 9));
        fraction.resize(9, '0');
        nanoseconds = decimal(fraction);
    }
    const bool negative = whole.starts_with('-');
    return {seconds * 1'000'000'000 + (negative ? -nanoseconds : nanoseconds)};
}

}  // namespace berth::archive::tar_format
