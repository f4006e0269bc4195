// Whose a data directory is: its format and the lock of the one engine that uses it. Throws Error.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace berth::engine {

/// Writes the format into a new directory; Error{unsupported} for one of another berth.
void check_format(const std::string& data_root);
/// One engine a data root: a second would take the first's containers for dead ones. Throws
/// Error{unavailable}; the lock ends with the descriptor.
UniqueFd lock_data_root(const std::string& root);

}  // namespace berth::engine
