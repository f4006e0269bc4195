// What `docker build --check` finds in a Dockerfile: BuildKit's rules, with its names and texts,
// but those that need files of the context or are experimental. Pure.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "build/dockerfile.h"

namespace berth::build {

struct LintRule final {
    const char* name;
    const char* description;
    const char* url;
};

struct LintWarning final {
    const LintRule* rule = nullptr;
    std::string detail;
    int line = 1, last_line = 1;
};

/// "skip=JSONArgsRecommended,StageNameCasing;error=true": the directive `check` of a Dockerfile.
struct LintSettings final {
    bool skips_all = false;
    std::set<std::string> skipped;  // in lower case
    bool is_error = false;          // a warning fails the build
};
/// Throws Error{invalid}.
LintSettings lint_settings(std::string_view text);

struct LintRequest final {
    LintSettings settings;
    /// The variables of a base image; nothing when it is not known, and then no variable of its
    /// stages counts as undefined. May be empty.
    std::function<std::optional<std::vector<std::string>>(const std::string& image)> environment;
};

/// In the order of the rules' finding, stage by stage.
std::vector<LintWarning> lint(const Dockerfile& file, const LintRequest& request);

/// The names of the variables that a word uses without saying what an unset one means.
std::vector<std::string> plain_variables(std::string_view word, char escape);

}  // namespace berth::build
