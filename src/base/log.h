// The log of our own programs: one line an event on stderr, `level=info msg="..." key=value`; to
// the journal with a priority instead of the time.
// Logging happens only at the edges (API, supervisor, network, shim); secrets never.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace berth::log {

enum class Level { debug, info, warn, error };

/// Sets the lowest level that is written, and the program name that opens each line.
void configure(std::string_view program, Level lowest);
/// Throws Error{invalid} for a name that is none of debug, info, warn, error, fatal.
Level level_from(std::string_view name);
bool enabled(Level level);
/// Writes one line; line breaks inside are escaped, and it is cut at 8 KiB.
void write(Level level, std::string_view message);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::debug))
        write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::info)) write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::warn)) write(Level::warn, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace berth::log
