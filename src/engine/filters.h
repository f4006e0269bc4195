// The `filters` parameter of list and event requests: {"key":{"value":true}} or {"key":["value"]}.
// Pure values; matching that needs engine state is in the services.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

class Filters final {
  public:
    Filters() = default;
    /// Both spellings, also mixed; empty text is no filter. Throws Error{invalid}.
    static Filters parse(std::string_view text);
    /// Throws Error{invalid} `invalid filter 'x'` for a key that is not in `allowed`.
    void check_keys(const std::vector<std::string_view>& allowed) const;

    bool empty() const { return values_.empty(); }
    bool has(std::string_view key) const;
    const std::vector<std::string>& values(std::string_view key) const;
    void add(const std::string& key, std::string value);
    /// True without values for `key`, or when one of them equals `text`.
    bool exact(std::string_view key, std::string_view text) const;
    /// True without values for `key`, or when `matches` takes one of them.
    bool any(std::string_view key, const std::function<bool(const std::string&)>& matches) const;
    /// `label` (all must match) and `label!` (none may match).
    bool labels(const std::map<std::string, std::string>& labels) const;
    /// A boolean filter; nothing when absent. Throws Error{invalid} without a text that says
    /// either, and for both.
    std::optional<bool> boolean(std::string_view key) const;

  private:
    std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

/// True when the regular expression (or, when it is none, the plain text) is found in `text`.
bool matches_pattern(const std::string& pattern, const std::string& text);

}  // namespace berth::engine
