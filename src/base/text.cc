#include "base/text.h"

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

std::string to_lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

std::uint64_t fnv1a(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

}  // namespace berth
