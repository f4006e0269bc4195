// The verbs of the command line, one file each. Each returns the exit code of the program and
// throws Error, which main prints once.
#pragma once

#include <string>

#include "runtime/arguments.h"

namespace berth::runtime {

/// What the global flags say.
struct Settings final {
    std::string root;  // --root, else $XDG_RUNTIME_DIR/berth-runtime, else /run/berth-runtime
    bool uses_cgroups = true;
};
Settings settings_of(const Options& global);

int create(const Settings& settings, const Arguments& arguments);
int run(const Settings& settings, const Arguments& arguments);
int start(const Settings& settings, const Arguments& arguments);
int state(const Settings& settings, const Arguments& arguments);
int kill(const Settings& settings, const Arguments& arguments);
int remove(const Settings& settings, const Arguments& arguments);
int exec(const Settings& settings, const Arguments& arguments);
int list(const Settings& settings, const Arguments& arguments);
int ps(const Settings& settings, const Arguments& arguments);
int features(const Settings& settings, const Arguments& arguments);
int spec(const Settings& settings, const Arguments& arguments);
int pause(const Settings& settings, const Arguments& arguments);
int resume(const Settings& settings, const Arguments& arguments);
int update(const Settings& settings, const Arguments& arguments);

/// The only positional argument. Throws Error{invalid}.
std::string container_id(const Arguments& arguments);

}  // namespace berth::runtime
