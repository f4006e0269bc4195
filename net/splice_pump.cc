#include "net/splice_pump.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace berth::net {
namespace {

constexpr int kLargePipe = 256 << 10;
// Past the user's limit the kernel makes pipes of one or two pages: copying is faster then.
constexpr int kSmallestPipe = 32 << 10;
constexpr std::size_t kKeptPipes = 8;
constexpr std::size_t kCopyBytes = 64 << 10;
// A connection that moves as much at once is busy: its pipe may grow.
constexpr ssize_t kBusy = 16 << 10;
// Moves of one direction before other connections get their turn.
constexpr int kMovesPerRound = 16;

void close_in_order(BorrowedFd socket) {
    const linger off{.l_onoff = 0, .l_linger = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &off, sizeof off);
}

bool is_at_urgent_mark(BorrowedFd socket) {
    int at_mark = 0;
    return ::ioctl(socket.get(), SIOCATMARK, &at_mark) == 0 && at_mark != 0;
}

bool would_block() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

void reset_on_close(BorrowedFd socket) {
    const linger none{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

int take_socket_error(BorrowedFd socket) {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

void set_socket_option(BorrowedFd socket, int level, int name, int value) {
    ::setsockopt(socket.get(), level, name, &value, sizeof value);
}

std::optional<PipePool::PooledPipe> PipePool::take() {
    if (!free_.empty()) {
        PooledPipe pipe = std::move(free_.back());
        free_.pop_back();
        return pipe;
    }
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return std::nullopt;
    PooledPipe pipe{{UniqueFd{ends[0]}, UniqueFd{ends[1]}}};
    if (::fcntl(ends[0], F_GETPIPE_SZ) < kSmallestPipe) return std::nullopt;
    return pipe;
}

void PipePool::give_back(PooledPipe pipe) {
    if (free_.size() < kKeptPipes) free_.push_back(std::move(pipe));
}

std::span<char> PipePool::scratch() {
    if (!scratch_) scratch_ = std::make_unique_for_overwrite<char[]>(kCopyBytes);
    return {scratch_.get(), kCopyBytes};
}

/// A client's connection and the one to the server.
class SplicePump::Connection final {
  public:
    Connection(SplicePump& pump, UniqueFd client, UniqueFd server, std::function<void()> on_end)
        : pump_(pump),
          client_(*this, std::move(client)),
          server_(*this, std::move(server)),
          on_end_(std::move(on_end)) {
        // A crash is no end of file: the peers of a file transfer must not take it for one.
        reset_on_close(client_.socket);
        reset_on_close(server_.socket);
    }

    void watch() {
        constexpr std::uint32_t kAll = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
        pump_.poller_.add(server_.socket, server_, kAll);
        pump_.poller_.add(client_.socket, client_, kAll);
    }

    void move() {
        if (ended_ || !connected_) return;
        if (!move(up_, client_, server_) || !move(down_, server_, client_)) return abort();
        if (!up_.finished || !down_.finished) return;
        close_in_order(client_.socket);
        close_in_order(server_.socket);
        end();
    }

    void take_turn() {
        waiting_for_turn_ = false;
        move();
    }

    // Closing sends resets, as the constructor arranged.
    void abort() {
        if (!ended_) end();
    }

    BorrowedFd client() const { return client_.socket; }

    void report_end() {
        if (on_end_) std::exchange(on_end_, {})();
    }

    std::list<std::unique_ptr<Connection>>::iterator place;  // in the pump

  private:
    struct Side final : PollTarget {
        Side(Connection& owner, UniqueFd fd) : connection(owner), socket(std::move(fd)) {}
        void on_events(std::uint32_t events) override { connection.on_events(*this, events); }
        Connection& connection;
        UniqueFd socket;
        bool readable = false;
        bool writable = false;
        bool urgent = false;  // an urgent byte is on its way
    };
    struct Flow final {
        std::optional<PipePool::PooledPipe> pipe;
        char behind_urgent = 0;  // held when there is no pipe, see pass_urgent_byte
        std::size_t held = 0;    // bytes in the pipe, or that one
        bool end_of_file = false;
        bool finished = false;  // the end of file was passed on
    };

    void on_events(Side& side, std::uint32_t events) {
        if (ended_) return;
        if (events & EPOLLERR && take_socket_error(side.socket) != 0) {
            pass_rest(side);
            return abort();
        }
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLPRI)) side.readable = true;
        if (events & EPOLLPRI) side.urgent = true;
        if (events & EPOLLOUT) side.writable = true;
        // A socket that is not connected yet reports EPOLLHUP; EPOLLOUT alone says connected.
        if (!connected_ && &side == &server_ && (events & EPOLLOUT)) connected_ = true;
        move();
    }

    // What arrived before a reset may still be read, as from the socket itself.
    void pass_rest(Side& from) {
        if (!connected_) return;
        Flow& flow = &from == &client_ ? up_ : down_;
        Side& to = &from == &client_ ? server_ : client_;
        from.readable = true;
        while (from.readable && flow.held == 0 && !flow.end_of_file)
            if (!fill(flow, from, to) || !drain(flow, to) || is_stalled(flow, from, to)) return;
    }

    // False when the connection broke.
    bool move(Flow& flow, Side& from, Side& to) {
        for (int moves = 0; !flow.finished; ++moves) {
            if (moves == kMovesPerRound) {
                wait_for_turn();
                return true;
            }
            if (!fill(flow, from, to) || !drain(flow, to)) return false;
            if (flow.held > 0 || is_stalled(flow, from, to)) return true;
            if (flow.end_of_file) {
                ::shutdown(to.socket.get(), SHUT_WR);
                flow.finished = true;
            } else if (!from.readable && !pass_urgent_byte(flow, from, to)) {
                break;
            }
        }
        give_back_pipe(flow);
        return true;
    }

    // Without a pipe what the other side does not take is left where it is.
    static bool is_stalled(const Flow& flow, const Side& from, const Side& to) {
        return !flow.pipe && !flow.end_of_file && from.readable && !to.writable;
    }

    bool fill(Flow& flow, Side& from, Side& to) {
        // Only when empty: then "would block" can only mean the socket.
        if (flow.held > 0 || flow.end_of_file || !from.readable) return true;
        if (!flow.pipe) flow.pipe = pump_.pipes_.take();
        if (!flow.pipe && is_at_urgent_mark(from.socket)) return stop_at_mark(from);
        const ssize_t count = flow.pipe ? splice_in(*flow.pipe, from) : peek(from, to);
        if (count > 0 && !flow.pipe) return pass_peeked(static_cast<std::size_t>(count), from, to);
        if (count > 0) flow.held = static_cast<std::size_t>(count);
        // With a FIN behind it, an urgent byte makes splice say "end of file".
        if (count == 0 && is_at_urgent_mark(from.socket)) return stop_at_mark(from);
        if (count == 0) flow.end_of_file = true;
        if (count < 0 && errno == EAGAIN) from.readable = false;
        return count >= 0 || would_block();
    }

    // The urgent byte goes its own way, see pass_urgent_byte.
    static bool stop_at_mark(Side& from) {
        from.urgent = true;
        from.readable = false;
        return true;
    }

    static ssize_t splice_in(PipePool::PooledPipe& pipe, const Side& from) {
        const int into = pipe.ends.write.get();
        const ssize_t count = ::splice(from.socket.get(), nullptr, into, nullptr, kLargePipe,
                                       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        // Refused past the user's limit; the smaller pipe works as well.
        if (count >= kBusy && !std::exchange(pipe.grown, true))
            ::fcntl(into, F_SETPIPE_SZ, kLargePipe);
        return count;
    }

    // One byte tells an end of file as well.
    ssize_t peek(const Side& from, const Side& to) {
        const std::span<char> scratch = pump_.pipes_.scratch();
        return ::recv(from.socket.get(), scratch.data(), to.writable ? scratch.size() : 1,
                      MSG_PEEK);
    }

    bool pass_peeked(std::size_t length, Side& from, Side& to) {
        if (!to.writable) return true;
        const char* peeked = pump_.pipes_.scratch().data();
        const ssize_t sent = ::send(to.socket.get(), peeked, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) to.writable = false;
        if (sent <= 0) return sent < 0 && would_block();
        // Takes it off the queue without copying it once more.
        return ::recv(from.socket.get(), nullptr, static_cast<std::size_t>(sent), MSG_TRUNC) ==
               sent;
    }

    bool drain(Flow& flow, Side& to) {
        while (flow.held > 0 && to.writable) {
            const ssize_t count =
                flow.pipe ? ::splice(flow.pipe->ends.read.get(), nullptr, to.socket.get(), nullptr,
                                     flow.held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
                          : ::send(to.socket.get(), &flow.behind_urgent, 1, MSG_NOSIGNAL);
            if (count > 0) flow.held -= static_cast<std::size_t>(count);
            if (count < 0 && errno == EAGAIN) to.writable = false;
            if (count == 0 || (count < 0 && !would_block())) return false;
        }
        return true;
    }

    // splice(2) stops for ever in front of an urgent byte (tcp_read_sock); only recv steps over
    // it, and reads one byte behind it at least. True when it did.
    bool pass_urgent_byte(Flow& flow, Side& from, Side& to) {
        if (!from.urgent || !to.writable || !is_at_urgent_mark(from.socket)) return false;
        char byte = 0;
        if (::recv(from.socket.get(), &byte, 1, MSG_OOB) == 1)
            ::send(to.socket.get(), &byte, 1, MSG_OOB | MSG_NOSIGNAL);
        from.urgent = false;
        from.readable = true;
        if (::recv(from.socket.get(), &byte, 1, 0) == 1) {
            give_back_pipe(flow);
            flow.behind_urgent = byte;
            flow.held = 1;
        }
        return true;
    }

    void wait_for_turn() {
        if (!std::exchange(waiting_for_turn_, true)) pump_.waiting_.push_back(this);
    }

    void give_back_pipe(Flow& flow) {
        if (flow.pipe && flow.held == 0) pump_.pipes_.give_back(std::move(*flow.pipe));
        flow.pipe.reset();
    }

    void end() {
        ended_ = true;
        pump_.ended_.push_back(this);
        for (Side* side : {&client_, &server_}) {
            // Closing alone leaves it watched while a forked process has a copy.
            pump_.poller_.remove(side->socket);
            side->socket.reset();
        }
        give_back_pipe(up_);
        give_back_pipe(down_);
    }

    SplicePump& pump_;
    Side client_;
    Side server_;
    std::function<void()> on_end_;
    Flow up_;
    Flow down_;
    bool connected_ = false;
    bool ended_ = false;
    bool waiting_for_turn_ = false;
};

SplicePump::SplicePump(Poller& poller, PipePool& pipes) : poller_(poller), pipes_(pipes) {}

SplicePump::~SplicePump() {
    for (const auto& connection : connections_) connection->abort();
}

void SplicePump::add(UniqueFd client, UniqueFd server, std::function<void()> on_end) {
    for (const BorrowedFd socket : {client.borrow(), server.borrow()}) {
        set_socket_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
        set_socket_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    }
    auto connection = std::make_unique<Connection>(*this, std::move(client), std::move(server),
                                                   std::move(on_end));
    try {
        connection->watch();
    } catch (...) {
        connection->abort();
        std::erase(ended_, connection.get());
        throw;
    }
    Connection& added = *connection;
    added.place = connections_.insert(connections_.end(), std::move(connection));
}

void SplicePump::abort_where(const std::function<bool(BorrowedFd client)>& condition) {
    for (const auto& connection : connections_)
        if (condition(connection->client())) connection->abort();
}

bool SplicePump::finish_round() {
    move_waiting();
    for (Connection* connection : std::exchange(ended_, {})) {
        std::erase(waiting_, connection);
        connection->report_end();
        connections_.erase(connection->place);
    }
    return !waiting_.empty();
}

void SplicePump::move_waiting() {
    for (Connection* connection : std::exchange(waiting_, {})) connection->take_turn();
}

}  // namespace berth::net
