// Query parameters and headers with Docker's reading of booleans and numbers. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace berth::api {

/// "", "0", "no", "false" and "none" in any case, trimmed, are false; every other text is true.
bool is_true(std::string_view text);
bool boolean(const http::Query& query, std::string_view key, bool fallback = false);
/// The few parameters that dockerd reads strictly: Throws Error{invalid} for any other word than
/// those of Go's ParseBool; false when absent or empty.
bool strict_boolean(const http::Query& query, std::string_view key);
/// Throws Error{invalid} when the value is no whole number; nothing when absent or empty.
std::optional<std::int64_t> integer(const http::Query& query, std::string_view key);
/// The same, brought into the range of an int: what is beyond means the same as its end.
std::optional<int> small_integer(const http::Query& query, std::string_view key);
/// Height or width of a terminal: required. Throws Error{invalid}.
std::uint32_t terminal_size(const http::Query& query, std::string_view key);
/// A JSON value; null when absent or empty. Throws Error{invalid}.
nlohmann::json json_parameter(const http::Query& query, std::string_view key);
/// The JSON object of an OCI platform as "os/architecture[/variant]"; empty when absent. Throws
/// Error{invalid}.
std::string platform(const http::Query& query);
/// The same of a parameter that may come several times.
std::vector<std::string> platforms(const http::Query& query, std::string_view key);
/// Throws Error{invalid} unless the header is application/json, with or without parameters.
void check_json_content_type(std::string_view content_type);

}  // namespace berth::api
