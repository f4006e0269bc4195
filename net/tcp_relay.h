// One published TCP port: accepts on the host, connects to the container, splices both ways.
//
// The connection to the container begins when the client's has been accepted; a container that
// does not listen shows as a reset of the client's connection. Relay thread only.
#pragma once

#include "net/poller.h"
#include "net/relay_loop.h"
#include "net/splice_pump.h"

namespace berth::net {

class TcpRelay final : public PollTarget {
  public:
    TcpRelay(HostSocket socket, Poller& poller, PipePool& pipes);
    ~TcpRelay() override;
    void on_events(std::uint32_t events) override;
    /// Call after each round; true while connections wait for their turn.
    bool finish_round() { return pump_.finish_round(); }

  private:
    void accept_one(UniqueFd client);
    void shed_one();

    HostSocket socket_;
    Poller& poller_;
    SplicePump pump_;
    UniqueFd spare_;  // given up for a moment when descriptors run out, to turn a client away
};

}  // namespace berth::net
