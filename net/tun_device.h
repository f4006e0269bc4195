// TUN and TAP devices of the calling thread's network namespace. Throws Error.
#pragma once

#include "base/unique_fd.h"

namespace berth::net {

enum class TunKind { packets, frames };  // TUN, TAP

/// Makes the device, or takes up the persistent one of that name. Without packet information,
/// non-blocking. `name` has at most 15 bytes.
UniqueFd open_tun_device(const char* name, TunKind kind);

}  // namespace berth::net
