// Named messages between our own processes: one JSON object a SOCK_SEQPACKET record, with file
// descriptors by SCM_RIGHTS. Used for supervisor <-> children, engine <-> shim, engine <-> network.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace berth::linux_os {

/// Longer messages (a container's 2,000 ports, an exec with a huge environment) travel as a file in
/// memory beside a short record: the kernel's default socket buffer takes no larger one in one
/// piece.
constexpr std::size_t kMaxInline = 128U << 10;
constexpr std::size_t kMaxMessage = 8U << 20;
constexpr std::size_t kMaxMessageFds = 16;

struct Message final {
    std::string text;           // one JSON object
    std::vector<UniqueFd> fds;  // owned by the receiver
};

/// A connected pair, CLOEXEC.
std::pair<UniqueFd, UniqueFd> message_socket_pair();
/// Binds and listens, replacing a stale socket file; mode 0600. Paths longer than sun_path are
/// reached through /proc/self/fd of their directory. Throws Error.
UniqueFd listen_messages(const std::string& path);
UniqueFd connect_messages(const std::string& path);
/// Accepts one connection, non-blocking result when the listener is non-blocking: nothing to take
/// gives an empty descriptor.
UniqueFd accept_messages(BorrowedFd listener);

enum class SendResult { sent, would_block, peer_gone };
/// Sends one message. MSG_NOSIGNAL; blocks only when the socket does.
SendResult send_message(BorrowedFd socket, const std::string& text,
                        const std::vector<BorrowedFd>& fds = {});

enum class ReceiveState { message, would_block, closed };
struct Received final {
    ReceiveState state = ReceiveState::closed;
    Message message;
};
/// Takes one message; descriptors are CLOEXEC. Throws Error{invalid} on a truncated record.
Received receive_message(BorrowedFd socket);

/// Waits until `fd` is readable. False when the deadline (milliseconds) passed.
bool wait_readable(BorrowedFd fd, int timeout_ms);

}  // namespace berth::linux_os
