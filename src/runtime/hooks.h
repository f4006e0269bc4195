// Runs the hooks of a specification, one after the other, with the container's state on stdin.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "oci/runtime_spec.h"

namespace berth::runtime {

/// Throws Error naming the hook that failed or ran past its timeout (it is killed then).
void run_hooks(const std::vector<oci::Hook>& hooks, std::string_view phase,
               const std::string& state);

}  // namespace berth::runtime
