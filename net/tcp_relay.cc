#include "net/tcp_relay.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "net/socket_address.h"

namespace berth::net {
namespace {

constexpr int kAcceptsPerRound = 64;
constexpr std::chrono::milliseconds kShedPause{10};

}  // namespace

TcpRelay::TcpRelay(HostSocket socket, Poller& poller, PipePool& pipes)
    : socket_(std::move(socket)),
      poller_(poller),
      pump_(poller, pipes),
      spare_(open_file("/dev/null", O_RDONLY)) {
    poller_.add(socket_.socket, *this, EPOLLIN);
}

TcpRelay::~TcpRelay() { poller_.remove(socket_.socket); }

void TcpRelay::on_events(std::uint32_t) {
    for (int i = 0; i < kAcceptsPerRound; ++i) {
        UniqueFd client{
            ::accept4(socket_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!client && (errno == EMFILE || errno == ENFILE)) return shed_one();
        if (!client && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (!client) return;
        try {
            accept_one(std::move(client));
        } catch (const Error& error) {
            log::warn("a connection to a published port was dropped: {}", error.message());
        }
    }
}

void TcpRelay::shed_one() {
    spare_.reset();
    bool shed = false;
    {
        const UniqueFd client{::accept4(socket_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        shed = static_cast<bool>(client);
        if (client) reset_on_close(client);
    }
    // Another thread may have been faster; the next one to be shed tries again.
    spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (shed)
        log::warn("a connection to a published port was turned away: out of descriptors");
    else  // the listener stays readable: not at full speed
        std::this_thread::sleep_for(kShedPause);
}

void TcpRelay::accept_one(UniqueFd client) {
    const SocketAddress target{socket_.container_address, socket_.container_port};
    UniqueFd container{::socket(target.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!container) {
        const int saved = errno;
        reset_on_close(client);
        throw Error::from_errno(saved, "making a socket");
    }
    if (::connect(container.get(), target.get(), target.length()) < 0 && errno != EINPROGRESS) {
        reset_on_close(client);
        return;
    }
    pump_.add(std::move(client), std::move(container));
}

}  // namespace berth::net
