// One published TCP port: accepts on the host, connects to the container in the client's name,
// splices both ways. It listens when it is told to (listen_follower.h); a container that refuses
// all the same shows as a reset of the client's connection. Relay thread only.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "net/client_source.h"
#include "net/listen_follower.h"
#include "net/poller.h"
#include "net/relay_loop.h"
#include "net/splice_pump.h"

namespace berth::net {

/// What the relays of a thread share; outlives them.
struct TcpRelayParts final {
    Poller& poller;
    PipePool& pipes;
    const ClientSource& source;
    /// Called when a client was accepted and then refused inside.
    std::function<void(const FollowingPort&)> on_refused;
    SteadyTime next_warning{};  // clients cause warnings: not one for each
};

class TcpRelay final : public PollTarget, public FollowingPort {
  public:
    TcpRelay(HostSocket socket, TcpRelayParts& parts);
    ~TcpRelay() override;
    void on_events(std::uint32_t events) override;
    const IpAddress& target_address() const override { return socket_.container_address; }
    std::uint16_t target_port() const override { return socket_.container_port; }
    bool is_listening() const override { return listening_; }
    void start_listening() override;
    void stop_listening() override;
    HostPort host() const {
        return {socket_.transport, socket_.host.address(), socket_.host.port()};
    }
    /// For the clients that come from now on.
    void set_target(const IpAddress& address) { socket_.container_address = address; }
    /// Call after each round; true while connections wait for their turn.
    bool finish_round() { return pump_.finish_round(); }

  private:
    void accept_one(UniqueFd client, const linux_os::SocketAddress& from);
    void shed_one();
    void warn(const std::string& text);

    HostSocket socket_;
    TcpRelayParts& parts_;
    std::size_t max_connections_;
    SplicePump pump_;
    bool listening_ = false;
    UniqueFd spare_;  // given up for a moment when descriptors run out, to turn a client away
};

}  // namespace berth::net
