// Columns of text, as `ps` and `images` print them, and the times and sizes in them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace berth::cli {

using Row = std::vector<std::string>;

/// The rows with each column as wide as its widest cell, three blanks apart.
std::string format_table(const std::vector<Row>& rows);
/// "3 minutes ago" of a time in unix seconds.
std::string age(std::int64_t unix_seconds);
/// "12.3MB", decimal units as docker prints them.
std::string human_size(std::int64_t bytes);

}  // namespace berth::cli
