// One published TCP port: accepts on the host, connects to the container, splices both ways.
//
// The connection to the container begins when the client's has been accepted; a container that
// does not listen shows as a reset of the client's connection. An end of file on one side becomes
// a shutdown of the other (half-close), an error on one side a reset of the other. A direction
// holds a pipe only while it has bytes that the other side does not take, so idle connections cost
// their sockets only, and a slow reader holds back the writer. Relay thread only.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "net/poller.h"
#include "net/relay_loop.h"

namespace berth::net {

/// Pipes between uses. Their pages count against a limit of the user, so few are kept.
class PipePool final {
  public:
    Pipe take();
    /// Only empty pipes come back.
    void give_back(Pipe pipe);

  private:
    std::vector<Pipe> free_;
};

class TcpConnection;

/// What connections left to do after a round.
struct RoundWork final {
    bool ended = false;    // some ended and want to be freed
    bool waiting = false;  // some used up their share of the round
};

class TcpRelay final : public PollTarget {
  public:
    TcpRelay(HostSocket socket, Poller& poller, PipePool& pipes);
    ~TcpRelay() override;
    void on_events(std::uint32_t events) override;
    /// Frees connections that ended; call after each round.
    void sweep();
    /// Moves on with connections that used up their share of a round; true while some are left.
    bool resume();

  private:
    void accept_one(UniqueFd client);
    void shed_one();

    HostSocket socket_;
    Poller& poller_;
    PipePool& pipes_;
    UniqueFd spare_;  // given up for a moment when descriptors run out, to turn a client away
    RoundWork work_;
    std::list<std::unique_ptr<TcpConnection>> connections_;
};

}  // namespace berth::net
