#include "api/parameters.h"

#include <algorithm>
#include <array>
#include <climits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/number.h"
#include "base/text.h"

namespace berth::api {

namespace {
constexpr std::string_view kBlank = " \t\r\n";
std::string platform_from(const std::string& text) {
    const nlohmann::json document = parse_json(text);
    const JsonReader reader(document, "platform");
    const std::string os = reader.string("os"), architecture = reader.string("architecture");
    const std::string variant = reader.string("variant");
    if (os.empty() || architecture.empty())
        throw Error(ErrorKind::invalid,
                    "failed to parse platform: both OS and Architecture must be provided");
    return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

}  // namespace

bool is_true(std::string_view text) {
    constexpr std::array<std::string_view, 5> kFalse{"", "0", "no", "false", "none"};
    return std::none_of(kFalse.begin(), kFalse.end(),
                        [text = trimmed(text, kBlank)](std::string_view word) {
                            return http::equal_ignoring_case(text, word);
                        });
}

bool boolean(const http::Query& query, std::string_view key, bool fallback) {
    const auto value = query.find(key);
    return value ? is_true(*value) : fallback;
}

bool strict_boolean(const http::Query& query, std::string_view key) {
    const std::string text = query.get(key);
    for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
        if (text == yes) return true;
    for (const std::string_view no : {"", "0", "f", "F", "false", "FALSE", "False"})
        if (text == no) return false;
    throw Error(ErrorKind::invalid,
                "invalid value for {0}: {1}: strconv.ParseBool: parsing \"{1}\": invalid syntax",
                key, text);
}

std::optional<std::int64_t> integer(const http::Query& query, std::string_view key) {
    const std::string text = query.get(key);
    if (text.empty()) return std::nullopt;
    const auto value = whole_number<std::int64_t>(text);
    if (!value)
        throw Error(ErrorKind::invalid, "invalid value \"{}\" of {}: expected a whole number", text,
                    key);
    return value;
}

std::optional<int> small_integer(const http::Query& query, std::string_view key) {
    const auto value = integer(query, key);
    if (!value) return std::nullopt;
    return static_cast<int>(std::clamp<std::int64_t>(*value, INT_MIN, INT_MAX));
}

std::uint32_t terminal_size(const http::Query& query, std::string_view key) {
    const auto value = integer(query, key);
    if (!value) throw Error(ErrorKind::invalid, "the parameter {} is missing", key);
    if (*value < 0 || *value > 0xffff)
        throw Error(ErrorKind::invalid, "invalid value \"{}\" of {}: out of range", *value, key);
    return static_cast<std::uint32_t>(*value);
}

nlohmann::json json_parameter(const http::Query& query, std::string_view key) {
    const std::string text = query.get(key);
    if (text.empty()) return nullptr;
    try {
        return parse_json(text);
    } catch (Error& error) {
        throw error.while_("the parameter {}", key);
    }
}

std::string platform(const http::Query& query) {
    const std::string text = query.get("platform");
    if (text.empty()) return "";
    return platform_from(text);
}

std::vector<std::string> platforms(const http::Query& query, std::string_view key) {
    std::vector<std::string> result;
    for (const std::string& text : query.all(key)) result.push_back(platform_from(text));
    return result;
}

void check_json_content_type(std::string_view content_type) {
    const auto type = trimmed(content_type.substr(0, content_type.find(';')), kBlank);
    if (!http::equal_ignoring_case(type, "application/json"))
        throw Error(ErrorKind::invalid,
                    "unsupported Content-Type header ({}): must be 'application/json'",
                    content_type);
}

}  // namespace berth::api
