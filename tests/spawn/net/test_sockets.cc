#include "test_sockets.h"

#include <sys/socket.h>

#include <chrono>

#include "base/error.h"
#include "linux/socket_address.h"

namespace berth::net {
namespace {

void set_deadline(BorrowedFd socket) {
    const timeval limit{kDeadlineMs / 1000, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

UniqueFd bound_socket(int type, const std::string& address, std::uint16_t port) {
    const linux_os::SocketAddress local{IpAddress::parse(address), port};
    UniqueFd fd{::socket(local.family(), type | SOCK_CLOEXEC, 0)};
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), local.get(), local.length()) < 0)
        throw_errno("binding {}:{}", address, port);
    set_deadline(fd);
    return fd;
}

std::string text_of(const linux_os::SocketAddress& address) {
    return fmt::format("{} {}", address.address().str(), address.port());
}

}  // namespace

UniqueFd listen_tcp(const std::string& address, std::uint16_t port) {
    UniqueFd fd = bound_socket(SOCK_STREAM, address, port);
    if (::listen(fd.get(), SOMAXCONN) < 0) throw_errno("listening on {}", address);
    return fd;
}

UniqueFd bind_udp(const std::string& address, std::uint16_t port) {
    return bound_socket(SOCK_DGRAM, address, port);
}

Connection connect_to(Transport transport, const std::string& address, std::uint16_t port) {
    const linux_os::SocketAddress target{IpAddress::parse(address), port};
    const int type = transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM;
    UniqueFd fd{::socket(target.family(), type | SOCK_CLOEXEC, 0)};
    set_deadline(fd);
    if (::connect(fd.get(), target.get(), target.length()) < 0) return {{}, errno};
    return {std::move(fd), 0};
}

Connection connect_when_listening(const std::string& address, std::uint16_t port) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
    for (;;) {
        Connection made = connect_to(Transport::tcp, address, port);
        if (made.error != ECONNREFUSED || std::chrono::steady_clock::now() > deadline) return made;
    }
}

std::string peer_of(BorrowedFd socket) {
    linux_os::SocketAddress peer;
    socklen_t length = linux_os::SocketAddress::capacity();
    ::getpeername(socket.get(), peer.get(), &length);
    return text_of(peer);
}

std::string name_of(BorrowedFd socket) {
    linux_os::SocketAddress name;
    socklen_t length = linux_os::SocketAddress::capacity();
    ::getsockname(socket.get(), name.get(), &length);
    return text_of(name);
}

UniqueFd accept_one(BorrowedFd listener) {
    UniqueFd fd{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (!fd) throw_errno("accepting");
    set_deadline(fd);
    return fd;
}

std::uint16_t port_of(BorrowedFd socket) {
    linux_os::SocketAddress local;
    socklen_t length = linux_os::SocketAddress::capacity();
    ::getsockname(socket.get(), local.get(), &length);
    return local.port();
}

std::string receive(BorrowedFd socket) {
    std::string text(65536, '\0');
    const ssize_t count = ::recv(socket.get(), text.data(), text.size(), 0);
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
}

bool send_text(BorrowedFd socket, const std::string& text) {
    std::size_t sent = 0;
    while (sent < text.size()) {
        const ssize_t count =
            ::send(socket.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (count <= 0) return false;
        sent += static_cast<std::size_t>(count);
    }
    return true;
}

std::string receive_all(BorrowedFd socket) {
    std::string all;
    for (std::string part = receive(socket); !part.empty(); part = receive(socket)) all += part;
    return all;
}

}  // namespace berth::net
