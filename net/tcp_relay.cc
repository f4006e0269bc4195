#include "net/tcp_relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "linux/socket_address.h"
#include "net/congestion.h"
#include "net/port_sockets.h"

namespace berth::net {
namespace {

constexpr int kAcceptsPerRound = 64;
constexpr std::chrono::milliseconds kShedPause{10};
constexpr std::chrono::seconds kWarningPause{1};
constexpr std::size_t kMaxConnections = 65536;

// Clients of one port must not use up the descriptors that all ports live on: two sockets each, and
// pipes while an end does not read.
std::size_t max_connections() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return kMaxConnections;
    return std::clamp<std::size_t>(limit.rlim_cur / 16, 1, kMaxConnections);
}

// The way to a container is within this machine: its refusal is here when connect(2) returns.
int early_failure(BorrowedFd socket) {
    pollfd state{socket.get(), POLLOUT, 0};
    return ::poll(&state, 1, 0) == 1 ? take_socket_error(socket) : 0;
}

}  // namespace

TcpRelay::TcpRelay(HostSocket socket, TcpRelayParts& parts)
    : socket_(std::move(socket)),
      parts_(parts),
      max_connections_(max_connections()),
      pump_(parts.poller, parts.pipes),
      spare_(open_file("/dev/null", O_RDONLY)) {}

TcpRelay::~TcpRelay() {
    if (listening_) parts_.poller.remove(socket_.socket);
}

void TcpRelay::start_listening() {
    if (listening_) return;
    net::start_listening(socket_.socket);
    parts_.poller.add(socket_.socket, *this, EPOLLIN);
    listening_ = true;
}

void TcpRelay::stop_listening() {
    if (!std::exchange(listening_, false)) return;
    parts_.poller.remove(socket_.socket);
    net::stop_listening(socket_.socket);
}

void TcpRelay::on_events(std::uint32_t) {
    for (int i = 0; i < kAcceptsPerRound && listening_; ++i) {
        linux_os::SocketAddress from;
        socklen_t length = linux_os::SocketAddress::capacity();
        UniqueFd client{
            ::accept4(socket_.socket.get(), from.get(), &length, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!client && (errno == EMFILE || errno == ENFILE)) return shed_one();
        if (!client && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (!client) return;
        if (pump_.size() >= max_connections_) {
            reset_on_close(client);
            warn("a connection to a published port was turned away: it has too many");
            continue;
        }
        try {
            accept_one(std::move(client), from);
        } catch (const Error& error) {
            warn("a connection to a published port was dropped: " + error.message());
        }
    }
}

void TcpRelay::warn(const std::string& text) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now < parts_.next_warning) return;
    parts_.next_warning = now + kWarningPause;
    log::warn("{}", text);
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
        warn("a connection to a published port was turned away: out of descriptors");
    else  // the listener stays readable: not at full speed
        std::this_thread::sleep_for(kShedPause);
}

void TcpRelay::accept_one(UniqueFd client, const linux_os::SocketAddress& from) {
    const linux_os::SocketAddress target{socket_.container_address, socket_.container_port};
    UniqueFd container = parts_.source.connect(Transport::tcp, from, target);
    const int failure = container ? early_failure(container) : errno;
    if (failure == 0) {
        stop_pacing_within_host(client);
        stop_pacing(container);
        return pump_.add(std::move(client), std::move(container));
    }
    reset_on_close(client);
    client.reset();
    if (failure == ECONNREFUSED) parts_.on_refused(*this);
    if (!container) throw Error::from_errno(failure, "making a socket");
}

}  // namespace berth::net
