// The socket that takes a terminal's master: SOCK_STREAM by containerd's and conmon's protocol.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace berth::runtime {

/// Throws Error naming the path.
UniqueFd connect_console_socket(const std::string& path);

}  // namespace berth::runtime
