// The congestion control of relayed TCP connections. One that paces, as bbr, sets a timer for each
// burst; inside a machine that halves the throughput, and there is no queue to spare.
#pragma once

#include "base/unique_fd.h"

namespace berth::net {

/// For the end of a connection that does not leave the machine. Where the kernel refuses, the
/// host's choice stays.
void stop_pacing(BorrowedFd socket);
/// The same when both ends have one address, as a connection to the host's own server has.
void stop_pacing_within_host(BorrowedFd socket);

}  // namespace berth::net
