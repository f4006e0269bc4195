#include "base/text.h"

#include <optional>

#include "base/number.h"

#include <algorithm>

namespace berth {

std::vector<std::string_view> words_of(std::string_view text, std::string_view separators) {
    std::vector<std::string_view> words;
    std::size_t from = 0;
    while ((from = text.find_first_not_of(separators, from)) != std::string_view::npos) {
        const std::size_t to = std::min(text.find_first_of(separators, from), text.size());
        words.push_back(text.substr(from, to - from));
        from = to;
    }
    return words;
}

std::vector<std::string> copied_words_of(std::string_view text, std::string_view separators) {
    const auto words = words_of(text, separators);
    return {words.begin(), words.end()};
}

std::string_view trimmed(std::string_view text, std::string_view separators) {
    const auto first = text.find_first_not_of(separators);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(separators) - first + 1);
}

std::string to_lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = to_lower(c);
    return result;
}

std::string to_upper(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return result;
}

std::string variable_name(std::string_view entry) {
    return std::string(entry.substr(0, entry.find('=')));
}

bool is_web_url(std::string_view text) {
    return text.starts_with("http://") || text.starts_with("https://");
}

std::string decode_percent_codes(std::string_view text) {
    constexpr std::size_t kDigits = 2;
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        std::optional<unsigned char> byte;
        if (text[at] == '%' && at + kDigits < text.size())
            byte = whole_number<unsigned char>(text.substr(at + 1, kDigits), 16);
        plain += byte ? static_cast<char>(*byte) : text[at];
        if (byte) at += kDigits;
    }
    return plain;
}

HostPort split_host_port(std::string_view text) {
    HostPort parts{text, {}};
    const auto colon = text.rfind(':');
    if (colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos)
        parts = {text.substr(0, colon), text.substr(colon + 1)};
    if (parts.host.starts_with('[') && parts.host.ends_with(']'))
        parts.host = parts.host.substr(1, parts.host.size() - 2);
    return parts;
}

std::uint64_t fnv1a(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

}  // namespace berth
