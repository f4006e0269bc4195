#include "engine/filters.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/error.h"
#include "base/json.h"

namespace berth::engine {

using nlohmann::json;

namespace {

bool label_matches(const std::map<std::string, std::string>& labels, const std::string& wanted) {
    const std::size_t split = wanted.find('=');
    const auto found = labels.find(wanted.substr(0, split));
    if (found == labels.end()) return false;
    return split == std::string::npos || found->second == wanted.substr(split + 1);
}

[[noreturn]] void malformed() { throw Error(ErrorKind::invalid, "invalid filter"); }

json object_from(std::string_view text) {
    json value;
    try {
        value = parse_json(text);
    } catch (const Error&) {
        malformed();
    }
    if (!value.is_object()) malformed();
    return value;
}

}  // namespace

Filters Filters::parse(std::string_view text) {
    Filters filters;
    if (text.empty()) return filters;
    const json value = object_from(text);
    for (const auto& [key, wanted] : value.items()) {
        if (wanted.is_object()) {
            for (const auto& [item, on] : wanted.items())
                if (!on.is_boolean() || on.get<bool>()) filters.add(key, item);
        } else if (wanted.is_array()) {
            for (const json& item : wanted) {
                if (!item.is_string()) malformed();
                filters.add(key, item.get<std::string>());
            }
        } else {
            malformed();
        }
    }
    return filters;
}

void Filters::check_keys(const std::vector<std::string_view>& allowed) const {
    for (const auto& [key, ignored] : values_)
        if (std::ranges::find(allowed, key) == allowed.end())
            throw Error(ErrorKind::invalid, "invalid filter '{}'", key);
}

bool Filters::has(std::string_view key) const { return values_.find(key) != values_.end(); }

const std::vector<std::string>& Filters::values(std::string_view key) const {
    static const std::vector<std::string> kNone;
    const auto found = values_.find(key);
    return found == values_.end() ? kNone : found->second;
}

void Filters::add(const std::string& key, std::string value) {
    values_[key].push_back(std::move(value));
}

bool Filters::exact(std::string_view key, std::string_view text) const {
    return any(key, [&](const std::string& value) { return value == text; });
}

bool Filters::any(std::string_view key,
                  const std::function<bool(const std::string&)>& matches) const {
    const auto& wanted = values(key);
    return wanted.empty() || std::ranges::any_of(wanted, matches);
}

bool Filters::labels(const std::map<std::string, std::string>& labels) const {
    const auto matches = [&](const std::string& wanted) { return label_matches(labels, wanted); };
    return std::ranges::all_of(values("label"), matches) &&
           std::ranges::none_of(values("label!"), matches);
}

std::optional<bool> Filters::boolean(std::string_view key) const {
    const std::vector<std::string>& texts = values(key);
    if (texts.empty()) return std::nullopt;
    const auto says = [&](std::initializer_list<std::string_view> words) {
        return std::ranges::any_of(texts, [&](const std::string& text) {
            return std::ranges::find(words, text) != words.end();
        });
    };
    // `docker image prune` adds its own value to what the user wrote: one that says something is
    // enough.
    const bool yes = says({"1", "true", "t", "True"});
    if (yes == says({"0", "false", "f", "False"}))
        throw Error(ErrorKind::invalid, "invalid filter '{}=[{}]'", key, fmt::join(texts, " "));
    return yes;
}

bool matches_pattern(const std::string& pattern, const std::string& text) {
    if (text.find(pattern) != std::string::npos) return true;
    // std::regex recurses a frame a character: short patterns and names only. Its default matcher
    // takes exponential time for "(a+)+b", libstdc++'s polynomial one not (as Go's, it has no \1).
    if (pattern.size() > 256 || text.size() > 256) return false;
    constexpr auto kSyntax = std::regex::ECMAScript | std::regex_constants::__polynomial;
    try {
        return std::regex_search(text, std::regex(pattern, kSyntax));
    } catch (const std::regex_error&) {
        return false;
    }
}

}  // namespace berth::engine
