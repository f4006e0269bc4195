#include "net/tcp_relay.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "net/socket_address.h"

namespace berth::net {
namespace {

constexpr int kPipeBytes = 256 << 10;
constexpr std::size_t kKeptPipes = 8;
constexpr int kAcceptsPerRound = 64;
// Moves of one direction before other connections get their turn.
constexpr int kMovesPerRound = 16;
constexpr std::chrono::milliseconds kShedPause{10};

void set_option(BorrowedFd socket, int level, int name, int value) {
    ::setsockopt(socket.get(), level, name, &value, sizeof value);
}

// Closing with a zero linger time sends a reset.
void reset_on_close(BorrowedFd socket) {
    const linger none{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

int socket_error(BorrowedFd socket) {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

}  // namespace

Pipe PipePool::take() {
    if (!free_.empty()) {
        Pipe pipe = std::move(free_.back());
        free_.pop_back();
        return pipe;
    }
    Pipe pipe = Pipe::make();
    // Past the user's limit of pipe pages the kernel refuses; a smaller pipe works as well.
    ::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeBytes);
    return pipe;
}

void PipePool::give_back(Pipe pipe) {
    if (free_.size() < kKeptPipes) free_.push_back(std::move(pipe));
}

/// A client's connection and the one to the container.
class TcpConnection final {
  public:
    TcpConnection(UniqueFd client, UniqueFd container, PipePool& pipes, RoundWork& work)
        : client_(*this, std::move(client)),
          container_(*this, std::move(container)),
          pipes_(pipes),
          work_(work) {}

    void watch(Poller& poller) {
        constexpr std::uint32_t kAll = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        poller.add(container_.socket, container_, kAll);
        poller.add(client_.socket, client_, kAll);
    }
    bool ended() const { return ended_; }
    bool is_waiting_for_turn() const { return !ended_ && waiting_for_turn_; }

    void move() {
        waiting_for_turn_ = false;
        if (ended_ || !connected_) return;
        try {
            if (!move(up_, client_, container_) || !move(down_, container_, client_))
                return abort();
        } catch (const Error& error) {  // no descriptors for a pipe
            log::warn("a connection of a published port was cut off: {}", error.message());
            return abort();
        }
        if (up_.finished && down_.finished) end();
    }

    void abort() {
        if (ended_) return;
        reset_on_close(client_.socket);
        reset_on_close(container_.socket);
        end();
    }

  private:
    struct Side final : PollTarget {
        Side(TcpConnection& owner, UniqueFd fd) : connection(owner), socket(std::move(fd)) {}
        void on_events(std::uint32_t events) override { connection.on_events(*this, events); }
        TcpConnection& connection;
        UniqueFd socket;
        bool readable = false;
        bool writable = false;
    };
    struct Flow final {
        std::optional<Pipe> pipe;
        std::size_t held = 0;  // bytes in the pipe
        bool end_of_file = false;
        bool finished = false;  // the end of file was passed on
    };

    void on_events(Side& side, std::uint32_t events) {
        if (ended_) return;
        if (events & EPOLLERR && socket_error(side.socket) != 0) return abort();
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) side.readable = true;
        if (events & EPOLLOUT) side.writable = true;
        // A socket that is not connected yet reports EPOLLHUP; EPOLLOUT alone says connected.
        if (!connected_ && &side == &container_ && (events & EPOLLOUT)) connected_ = true;
        move();
    }

    // False when the connection broke.
    bool move(Flow& flow, Side& from, Side& to) {
        for (int moves = 0; !flow.finished; ++moves) {
            if (moves == kMovesPerRound) {
                waiting_for_turn_ = true;
                work_.waiting = true;
                return true;
            }
            if (!fill(flow, from) || !drain(flow, to)) return false;
            if (flow.held > 0) return true;
            if (flow.end_of_file) {
                ::shutdown(to.socket.get(), SHUT_WR);
                flow.finished = true;
            } else if (!from.readable) {
                break;
            }
        }
        if (flow.pipe && flow.held == 0) {
            pipes_.give_back(std::move(*flow.pipe));
            flow.pipe.reset();
        }
        return true;
    }

    bool fill(Flow& flow, Side& from) {
        // Only into an empty pipe: then "would block" can only mean the socket.
        if (flow.held > 0 || flow.end_of_file || !from.readable) return true;
        if (!flow.pipe) flow.pipe = pipes_.take();
        const ssize_t count = ::splice(from.socket.get(), nullptr, flow.pipe->write.get(), nullptr,
                                       kPipeBytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (count > 0) flow.held = static_cast<std::size_t>(count);
        if (count == 0) flow.end_of_file = true;
        if (count < 0 && errno == EAGAIN) from.readable = false;
        return count >= 0 || errno == EAGAIN || errno == EINTR;
    }

    bool drain(Flow& flow, Side& to) {
        while (flow.held > 0 && to.writable) {
            const ssize_t count = ::splice(flow.pipe->read.get(), nullptr, to.socket.get(), nullptr,
                                           flow.held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            if (count > 0) flow.held -= static_cast<std::size_t>(count);
            if (count < 0 && errno == EAGAIN) to.writable = false;
            if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return false;
        }
        return true;
    }

    void end() {
        ended_ = true;
        work_.ended = true;
        client_.socket.reset();
        container_.socket.reset();
        for (Flow* flow : {&up_, &down_})
            if (flow->pipe && flow->held == 0) pipes_.give_back(std::move(*flow->pipe));
        up_.pipe.reset();
        down_.pipe.reset();
    }

    Side client_;
    Side container_;
    PipePool& pipes_;
    RoundWork& work_;
    Flow up_;
    Flow down_;
    bool connected_ = false;
    bool ended_ = false;
    bool waiting_for_turn_ = false;
};

TcpRelay::TcpRelay(HostSocket socket, Poller& poller, PipePool& pipes)
    : socket_(std::move(socket)),
      poller_(poller),
      pipes_(pipes),
      spare_(open_file("/dev/null", O_RDONLY)) {
    poller_.add(socket_.socket, *this, EPOLLIN);
}

TcpRelay::~TcpRelay() {
    for (const auto& connection : connections_) connection->abort();
}

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
    for (const BorrowedFd socket : {client.borrow(), container.borrow()}) {
        set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
        set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    }
    if (::connect(container.get(), target.get(), target.length()) < 0 && errno != EINPROGRESS) {
        reset_on_close(client);
        return;
    }
    auto connection =
        std::make_unique<TcpConnection>(std::move(client), std::move(container), pipes_, work_);
    try {
        connection->watch(poller_);
    } catch (...) {
        connection->abort();
        throw;
    }
    connections_.push_back(std::move(connection));
}

void TcpRelay::sweep() {
    if (!std::exchange(work_.ended, false)) return;
    connections_.remove_if([](const auto& connection) { return connection->ended(); });
}

bool TcpRelay::resume() {
    if (!std::exchange(work_.waiting, false)) return false;
    for (const auto& connection : connections_)
        if (connection->is_waiting_for_turn()) connection->move();
    return work_.waiting;
}

}  // namespace berth::net
