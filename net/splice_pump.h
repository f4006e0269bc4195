// Carries TCP connections between pairs of sockets with splice(2). An end of file on one side
// becomes a shutdown of the other (half-close), an error a reset of the other, an urgent byte an
// urgent byte. A direction holds a pipe only while it has bytes that the other side does not take,
// so idle connections cost their sockets only, and a slow reader holds back the writer. Without a
// pipe only what the other side takes is taken, and no memory is held. A crash of
// the process shows as a reset at both ends, never as an end of file. One thread, its poller's.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "net/poller.h"

namespace berth::net {

/// Pipes between uses. Their pages count against a limit of the user (fs.pipe-user-pages-soft), so
/// few are kept, and only those of busy connections are larger than the kernel's default.
class PipePool final {
  public:
    struct PooledPipe final {
        Pipe ends;
        bool grown = false;  // as far as the kernel allows
    };
    /// Nothing when the user's share of pipes is used up: the caller copies instead.
    std::optional<PooledPipe> take();
    /// Only empty pipes come back.
    void give_back(PooledPipe pipe);
    /// For copying without a pipe: one for all connections, so nothing stays in it.
    std::span<char> scratch();

  private:
    std::vector<PooledPipe> free_;
    std::unique_ptr<char[]> scratch_;
};

class SplicePump final {
  public:
    /// Both outlive the pump.
    SplicePump(Poller& poller, PipePool& pipes);
    /// Resets what is left.
    ~SplicePump();
    SplicePump(const SplicePump&) = delete;
    SplicePump& operator=(const SplicePump&) = delete;

    /// Takes two non-blocking sockets; `server` may still be connecting, and its failure resets
    /// the client's. `on_end` is called by finish_round. Throws Error, having reset both, without
    /// calling it.
    void add(UniqueFd client, UniqueFd server, std::function<void()> on_end = {});
    /// Resets the connections whose client's socket `condition` holds for.
    void abort_where(const std::function<bool(BorrowedFd client)>& condition);
    /// Call after each round of the poller: frees connections that ended, and moves those on that
    /// used up their share of the round. True while some of these are left: poll without waiting.
    bool finish_round();
    std::size_t size() const { return connections_.size(); }

  private:
    class Connection;
    void move_waiting();

    Poller& poller_;
    PipePool& pipes_;
    std::list<std::unique_ptr<Connection>> connections_;
    std::vector<Connection*> waiting_;
    std::vector<Connection*> ended_;
};

/// Makes a later close send a reset.
void reset_on_close(BorrowedFd socket);
/// The pending error of a socket, which this clears; 0 when there is none.
int take_socket_error(BorrowedFd socket);
/// Sets an integer option and ignores failure.
void set_socket_option(BorrowedFd socket, int level, int name, int value);

}  // namespace berth::net
