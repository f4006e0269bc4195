// TUN and TAP devices of the calling thread's network namespace. Throws Error.
#pragma once

#include "base/unique_fd.h"

namespace berth::net {

/// TUN; TAP with an OffloadHeader (tap_writer.h) in front of each frame.
enum class TunKind { packets, frames };

/// Makes the device, or takes up the persistent one of that name. Without packet information,
/// non-blocking. `name` has at most 15 bytes.
UniqueFd open_tun_device(const char* name, TunKind kind);

}  // namespace berth::net
