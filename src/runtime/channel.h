// The conversation of the runtime with the process it makes, over one SOCK_SEQPACKET pair:
//   parent: Go            (id maps are written, the cgroup is entered)
//   child:  HooksDue      (mounts are made; only when there are hooks of the host's side)
//   parent: HooksDone
//   child:  Ready         (all is set up; `create`: waits for start, `exec`: about to execve)
//   child:  Failed        (at any time; the parent prints it once)
//   stage:  Forked        (with joined namespaces: the pid of the real child)
// End of file after Ready means that execve succeeded.
#pragma once

#include <sys/types.h>

#include <string>
#include <variant>

#include "base/error.h"
#include "base/unique_fd.h"

namespace berth::runtime {

struct Go final {};
struct HooksDue final {};
struct HooksDone final {};
struct Ready final {};
struct Forked final {
    pid_t pid = 0;
};
struct Failed final {
    ErrorKind kind = ErrorKind::internal;
    std::string message;
    int errno_value = 0;
};
struct Closed final {};
using ChannelMessage = std::variant<Go, HooksDue, HooksDone, Ready, Forked, Failed, Closed>;

/// False when the other side is gone.
bool send(BorrowedFd channel, const ChannelMessage& message);
/// Blocks. Throws Error{invalid} for a record that is none of the above.
ChannelMessage receive(BorrowedFd channel);
/// Receives and insists on one kind; a Failed becomes the Error that it carries.
template <typename Wanted>
Wanted expect(BorrowedFd channel);
Failed failure_of(const Error& error);
[[noreturn]] void throw_unexpected(const ChannelMessage& message);

template <typename Wanted>
Wanted expect(BorrowedFd channel) {
    ChannelMessage message = receive(channel);
    if (auto* wanted = std::get_if<Wanted>(&message)) return std::move(*wanted);
    throw_unexpected(message);
}

}  // namespace berth::runtime
