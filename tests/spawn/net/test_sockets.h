// Blocking sockets with a deadline, for both ends of a test's connections. Throw Error.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "net/protocol.h"

namespace berth::net {

constexpr int kDeadlineMs = 10'000;

UniqueFd listen_tcp(const std::string& address, std::uint16_t port);
UniqueFd bind_udp(const std::string& address, std::uint16_t port);
/// The errno of connect in `error` when the descriptor is empty.
struct Connection final {
    UniqueFd socket;
    int error = 0;
};
Connection connect_to(Transport transport, const std::string& address, std::uint16_t port);
/// Tries again while it is refused, until the deadline.
Connection connect_when_listening(const std::string& address, std::uint16_t port);
UniqueFd accept_one(BorrowedFd listener);
/// "ADDRESS PORT" of the other end, and of the own one.
std::string peer_of(BorrowedFd socket);
std::string name_of(BorrowedFd socket);
std::uint16_t port_of(BorrowedFd socket);
/// One read; empty at the end of file or on an error.
std::string receive(BorrowedFd socket);
bool send_text(BorrowedFd socket, const std::string& text);
/// Everything until end of file.
std::string receive_all(BorrowedFd socket);

}  // namespace berth::net
