// The variables of a build: what ARG declares, what the request gives, and the proxies that need no
// declaration. A stage sees what it has declared itself; FROM sees what stands before the first
// one. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "build/expand.h"

namespace berth::build {

class Arguments final {
  public:
    using Given = std::map<std::string, std::optional<std::string>>;
    explicit Arguments(Given given) : given_(std::move(given)) {}

    /// The same with each proxy in capital and in small letters, as BuildKit has them.
    static Given with_both_cases(Given given);

    bool is_given(const std::string& name) const;
    /// ARG before the first FROM.
    void add_global(const std::string& name, const std::optional<std::string>& value);
    /// What the engine knows (TARGETARCH and the like): as a global one that nobody has to use.
    void add_automatic(const std::string& name, std::string value);
    void begin_stage() { declared_.clear(); }
    /// ARG of a stage; without a value the global one's is taken.
    void add(const std::string& name, std::optional<std::string> value);

    /// By name, without those that `env` ("K=v") sets.
    std::map<std::string, std::string> visible(const std::vector<std::string>& env) const;
    /// Of them those that count for the cache and the history: a proxy only when ARG names it.
    std::map<std::string, std::string> recorded(const std::vector<std::string>& env) const;
    /// `env` first, then what is visible.
    Lookup lookup(const std::vector<std::string>& env) const;
    Lookup global_lookup() const;
    /// What was given and no ARG named.
    std::vector<std::string> unused() const;

  private:
    using Declared = std::map<std::string, std::optional<std::string>>;
    std::optional<std::string> value_of(const std::string& name, const Declared& declared) const;

    Given given_;
    Declared global_;
    Declared declared_;
    std::set<std::string> named_;
};

/// Those that need no declaration: the proxies, in capital or small letters.
bool is_predefined(const std::string& name);

}  // namespace berth::build
