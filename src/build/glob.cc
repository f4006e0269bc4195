#include "build/glob.h"

#include <cstddef>
#include <vector>

#include "base/text.h"

namespace berth::build {

namespace {

struct Matched final {
    bool matches = false;
    std::size_t length = 1;  // of the pattern's part
};

/// "[a-z]" at the front; without an end it is a plain character.
Matched match_class(std::string_view pattern, char c) {
    std::size_t at = 1;
    const bool negated = at < pattern.size() && (pattern[at] == '^' || pattern[at] == '!');
    if (negated) ++at;
    bool found = false;
    for (bool first = true; at < pattern.size() && (first || pattern[at] != ']'); first = false) {
        if (pattern[at] == '\\' && at + 1 < pattern.size()) ++at;
        const char low = pattern[at++];
        char high = low;
        if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
            high = pattern[at + 1];
            at += 2;
        }
        found = found || (low <= c && c <= high);
    }
    if (at >= pattern.size()) return {c == '[', 1};
    return {found != negated, at + 1};
}

/// One character against the front of a pattern that is not empty and has no star there.
Matched match_one(std::string_view pattern, char c) {
    switch (pattern.front()) {
        case '?':
            return {true, 1};
        case '[':
            return match_class(pattern, c);
        case '\\':
            if (pattern.size() > 1) return {pattern[1] == c, 2};
            [[fallthrough]];
        default:
            return {pattern.front() == c, 1};
    }
}

}  // namespace

bool matches_glob(std::string_view pattern, std::string_view text) {
    constexpr std::size_t kNone = std::string_view::npos;
    std::size_t p = 0, t = 0, star = kNone, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
            continue;
        }
        const Matched one = p < pattern.size() ? match_one(pattern.substr(p), text[t]) : Matched{};
        if (one.matches) {
            p += one.length;
            ++t;
        } else if (star != kNone) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

bool matches_path_glob(std::string_view pattern, std::string_view path) {
    const std::vector<std::string_view> wanted = words_of(pattern, "/");
    const std::vector<std::string_view> found = words_of(path, "/");
    // reached[i]: the first i components match what has been seen of the pattern.
    std::vector<bool> reached(found.size() + 1, false);
    reached[0] = true;
    for (const std::string_view part : wanted) {
        std::vector<bool> next(found.size() + 1, false);
        for (std::size_t i = 0; i <= found.size(); ++i) {
            if (part == "**")
                next[i] = reached[i] || (i > 0 && next[i - 1]);
            else
                next[i] = i > 0 && reached[i - 1] && matches_glob(part, found[i - 1]);
        }
        reached = std::move(next);
    }
    return reached.back();
}

bool has_wildcard(std::string_view pattern) {
    return pattern.find_first_of("*?[") != std::string_view::npos;
}

}  // namespace berth::build
