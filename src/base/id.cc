#include "base/id.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace berth {
namespace {

constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kShortDigits = 12;
constexpr std::size_t kMaxName = 255;

bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

std::string random_hex_id() {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (;;) {
        std::array<unsigned char, kHexDigits / 2> bytes{};
        if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
            throw_errno("reading random bytes");
        std::string text;
        text.reserve(kHexDigits);
        for (const unsigned char byte : bytes) {
            text += kDigits[byte >> 4];
            text += kDigits[byte & 15];
        }
        const auto head = std::string_view(text).substr(0, kShortDigits);
        if (!std::all_of(head.begin(), head.end(), [](char c) { return c <= '9'; })) return text;
    }
}

bool is_hex_id(std::string_view text) {
    return text.size() == kHexDigits && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

void check_hex_id(std::string_view text) {
    if (!is_hex_id(text))
        throw Error(ErrorKind::invalid, "'{}' is not an id: 64 lower-case hexadecimal digits",
                    text);
}

bool Name::is_valid(std::string_view text) {
    return text.size() >= 2 && text.size() <= kMaxName && is_alnum(text[0]) &&
           std::all_of(text.begin() + 1, text.end(),
                       [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

Name Name::parse(std::string_view text) {
    if (!is_valid(text))
        throw Error(ErrorKind::invalid,
                    "Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                    text);
    return Name(std::string(text));
}

}  // namespace berth
