// A file without a name, for what goes with its descriptor: spools, downloads, unpacked copies.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace berth::linux_os {

/// Readable and writable, on the file system of `directory`. Throws Error.
UniqueFd nameless_file(const std::string& directory);

}  // namespace berth::linux_os
