// Patterns with * ? [a-z] [^a] and \x. Linear in the usual case, never worse than the square. Pure.
#pragma once

#include <string_view>

namespace berth::build {

/// All of the text; a slash is a character like any other.
bool matches_glob(std::string_view pattern, std::string_view text);
/// "a/*/c": component by component; "**" is any number of components.
bool matches_path_glob(std::string_view pattern, std::string_view path);
bool has_wildcard(std::string_view pattern);

}  // namespace berth::build
