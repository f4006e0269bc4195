// The command line: the union of runc's and crun's flags. Global flags, the verb, its flags, the
// positional arguments. Values as `--flag V` or `--flag=V`; a program's own arguments (after the
// container's id in `exec`) are left alone. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime {

class Options final {
  public:
    void add(std::string_view name, std::string value) {
        values_[std::string(name)].push_back(std::move(value));
    }
    bool has(std::string_view name) const { return values_.contains(std::string(name)); }
    /// The last value given; `fallback` when there is none.
    std::string value(std::string_view name, std::string fallback = "") const;
    std::vector<std::string> all(std::string_view name) const;
    /// A whole number that uses the whole text. Throws Error{invalid}.
    std::optional<long> number(std::string_view name) const;

  private:
    std::map<std::string, std::vector<std::string>> values_;
};

struct Arguments final {
    Options global;
    std::string verb;  // empty: only global flags (--version, --help)
    Options options;
    std::vector<std::string> positional;
};

/// Throws Error{invalid} for an unknown flag or verb or a missing value.
Arguments parse_arguments(const std::vector<std::string>& words);
/// A container id as runc takes it. Throws Error{invalid}.
void check_container_id(std::string_view id);
/// "9", "KILL", "SIGKILL" in any case. Throws Error{invalid}.
int parse_signal(std::string_view text);

}  // namespace berth::runtime
