// Small operations on text. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth {

/// What separates words: the white space of the C locale.
constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";

/// The pieces between runs of separators; none is empty. They borrow `text`.
std::vector<std::string_view> words_of(std::string_view text,
                                       std::string_view separators = kWhiteSpace);
/// The same as texts of their own.
std::vector<std::string> copied_words_of(std::string_view text,
                                         std::string_view separators = kWhiteSpace);

/// ASCII letters only.
std::string to_lower(std::string_view text);

/// FNV-1a, 64 bits: for names and spreading, where nobody gains from a collision.
std::uint64_t fnv1a(std::string_view text);

}  // namespace berth
