#include "systemd/notify.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace berth::systemd {
namespace {

constexpr int kFirstListenFd = 3;

int number_of(const char* text) {
    int value = 0;
    if (text) std::from_chars(text, text + std::strlen(text), value);
    return value;
}

}  // namespace

Notifier::Notifier(const std::string& socket) : address_(socket) {
    if (address_.empty() || address_.size() >= sizeof(sockaddr_un::sun_path)) return;
    if (address_[0] != '/' && address_[0] != '@') return;
    socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

void Notifier::send(const std::string& state) const {
    if (!socket_) return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    address_.copy(address.sun_path, address_.size());
    if (address_[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
    [[maybe_unused]] const auto sent =
        ::sendto(socket_.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                 reinterpret_cast<const sockaddr*>(&address), length);
}

std::vector<UniqueFd> take_listen_fds() {
    std::vector<UniqueFd> fds;
    if (number_of(::secure_getenv("LISTEN_PID")) != ::getpid()) return fds;
    const int count = number_of(::secure_getenv("LISTEN_FDS"));
    for (int fd = kFirstListenFd; fd < kFirstListenFd + count; ++fd)
        if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) fds.emplace_back(fd);
    return fds;
}

}  // namespace berth::systemd
