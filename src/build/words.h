// The words of an instruction: flags in front, the JSON form, and words with quotes, which stay in
// place until variables are expanded (expand.h). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace berth::build {

std::string_view trim_left(std::string_view text);

/// Takes the first blank-separated word off `rest`, which then begins with the next one.
std::string_view take_word(std::string_view& rest);
/// Words between blanks; quotes group, the escape character quotes one character. All of them stay
/// in the words.
std::vector<std::string> raw_words(std::string_view text, char escape);
/// Takes the words that begin with "--" off the front.
std::vector<std::string> take_flags(std::string_view& rest, char escape);
/// ["a","b"], or nothing when the text is not a list of strings.
std::optional<std::vector<std::string>> json_list(std::string_view text);
/// A text and a list of texts as Go's %q writes them: "a\n", ["a" "b"].
std::string in_quotes(std::string_view text);
std::string in_quotes(const std::vector<std::string>& texts);
/// "1m30s", "500ms" in nanoseconds. Throws Error{invalid}.
std::int64_t parse_duration(std::string_view text);
/// As Go prints it: "1m30s", "0s".
std::string duration_text(std::int64_t nanoseconds);

}  // namespace berth::build
