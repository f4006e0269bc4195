// Whose a data directory is: its format, the lock of the one engine that uses it, and what a killed
// one left half written. Throws Error.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace berth::engine {

/// Writes the format into a new directory; Error{unsupported} for one of another berth.
void check_format(const std::string& data_root);
/// One engine a data root: a second would take the first's containers for dead ones. Throws
/// Error{unavailable}; the lock ends with the descriptor.
UniqueFd lock_data_root(const std::string& root);

/// Removes the records that an engine was writing when it was killed; what they replace is whole.
void remove_unfinished_records(const std::string& data_root);

}  // namespace berth::engine
