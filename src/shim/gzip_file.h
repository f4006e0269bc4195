// Compresses one rotated log file in a child process, since the shim has one thread only. The
// child keeps none of the shim's descriptors. The child is reaped by the shim's Reaper.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace berth::shim {

/// Writes `source` to `target` in gzip format and then removes `source`; on a failure `source`
/// stays and `target` does not. Gives the child's pidfd. Throws Error when no child can be made.
UniqueFd compress_in_child(const std::string& source, const std::string& target);

/// The same at once, in this process. Throws Error.
void compress_file(const std::string& source, const std::string& target);

}  // namespace berth::shim
