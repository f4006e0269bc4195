// Two ends of a byte stream inside this machine. Unlike a pipe, send(2) on it takes MSG_NOSIGNAL.
#pragma once

#include <utility>

#include "base/unique_fd.h"

namespace berth::linux_os {

enum class Blocking { yes, no };

/// A connected pair, CLOEXEC.
std::pair<UniqueFd, UniqueFd> stream_socket_pair(Blocking blocking = Blocking::yes);

}  // namespace berth::linux_os
