// Query parameters and headers with Docker's reading of booleans and numbers. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace berth::api {

/// "", "0", "no", "false" and "none" in any case, trimmed, are false; every other text is true.
bool is_true(std::string_view text);
bool boolean(const http::Query& query, std::string_view key, bool fallback = false);
/// Throws Error{invalid} when the value is no whole number; nothing when absent or empty.
std::optional<std::int64_t> integer(const http::Query& query, std::string_view key);
/// Height or width of a terminal: required. Throws Error{invalid}.
std::uint32_t terminal_size(const http::Query& query, std::string_view key);
/// The JSON object of an OCI platform as "os/architecture[/variant]"; empty when absent. Throws
/// Error{invalid}.
std::string platform(const http::Query& query);
/// Throws Error{invalid} unless the header is application/json, with or without parameters.
void check_json_content_type(std::string_view content_type);

}  // namespace berth::api
