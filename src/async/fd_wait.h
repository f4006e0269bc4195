// Waiting for descriptors on the io_context thread. The descriptor is duplicated for the wait, so
// several coroutines may wait for one, and it may be closed meanwhile.
#pragma once

#include <expected>
#include <span>
#include <string_view>

#include "async/task.h"
#include "base/unique_fd.h"
#include "linux/pid_fd.h"

namespace berth::async {

Task<> wait_readable(BorrowedFd fd);
Task<> wait_writable(BorrowedFd fd);
/// Sends all of `bytes` into a stream socket, also a blocking one, waiting for its reader; false
/// when that is gone. The bytes must stay.
Task<bool> send_all(BorrowedFd socket, std::string_view bytes);
/// Some bytes of a stream socket, also of a blocking one, in `buffer`; none at its end, or the
/// errno of a failure.
Task<std::expected<std::string_view, int>> receive_some(BorrowedFd socket, std::span<char> buffer);
/// Until the process has ended; it is not reaped.
Task<> wait_exit(const linux_os::PidFd& process);

}  // namespace berth::async
