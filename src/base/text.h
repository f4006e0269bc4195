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

/// Without the separators at both ends. It borrows `text`.
std::string_view trimmed(std::string_view text, std::string_view separators = kWhiteSpace);

/// ASCII letters only.
constexpr char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);

/// The name of the variable "NAME=value"; the whole text where it has no value.
std::string variable_name(std::string_view entry);

/// By its beginning: http:// or https://.
bool is_web_url(std::string_view text);

/// Each "%2F" becomes its byte; a percent sign without two digits stays.
std::string decode_percent_codes(std::string_view text);

struct HostPort final {
    std::string_view host;
    std::string_view port;  // empty when there is none
};
/// "host:80", "[::1]:80" or "host" in its parts, without brackets. They borrow `text`.
HostPort split_host_port(std::string_view text);

/// FNV-1a, 64 bits: for names and spreading, where nobody gains from a collision.
std::uint64_t fnv1a(std::string_view text);

}  // namespace berth
