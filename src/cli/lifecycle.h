// One call for each container that is named, going on after a failure, as docker does.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace berth::cli {

/// Prints each name that `call` took, or its error; 1 when any failed.
int for_each_container(const std::vector<std::string>& names,
                       const std::function<void(const std::string& name)>& call);

}  // namespace berth::cli
