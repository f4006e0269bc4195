// Variables in words, as the Dockerfile language has them: $x, ${x}, ${x:-y}, ${x:+y}, ${x:?y}
// (each also without the colon), ${x#p} ${x##p} ${x%p} ${x%%p} ${x/p/r} ${x//p/r}; quotes group and
// vanish, the escape character quotes one character. Pure. Throws Error{invalid}.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

/// The value of a variable; nothing when it is not set.
using Lookup = std::function<std::optional<std::string>(const std::string& name)>;

/// One word, whatever blanks it has.
std::string expand(std::string_view word, const Lookup& lookup, char escape = '\\');
/// The result split at blanks that no quotes hold, those of values included.
std::vector<std::string> expand_words(std::string_view text, const Lookup& lookup,
                                      char escape = '\\');
/// Variables alone: quotes stay, as in a heredoc.
std::string expand_keeping_quotes(std::string_view text, const Lookup& lookup, char escape = '\\');

}  // namespace berth::build
