// One published UDP port. Each client gets a socket of its own towards the container, so that
// answers find their way back; it is closed after 90 s without a datagram. Answers leave from the
// local address the client wrote to. Relay thread only.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <span>

#include "base/clock.h"
#include "net/poller.h"
#include "net/relay_loop.h"
#include "net/socket_address.h"

namespace berth::net {

class UdpAssociation;

class UdpRelay final : public PollTarget {
  public:
    /// `datagram` is room for the largest one, shared by all relays of the thread.
    UdpRelay(HostSocket socket, Poller& poller, std::span<char> datagram);
    ~UdpRelay() override;
    void on_events(std::uint32_t events) override;
    /// Closes what was idle too long; call between rounds.
    void expire(SteadyTime now);
    bool in_use() const { return !associations_.empty(); }

  private:
    friend class UdpAssociation;
    /// A client's address and the local one it wrote to.
    struct Peer final {
        SocketAddress client;
        IpAddress local;
    };
    bool forward_one();
    UdpAssociation* association_of(const Peer& peer);
    void answer(const Peer& peer, std::size_t length);

    HostSocket socket_;
    Poller& poller_;
    std::span<char> datagram_;
    std::map<std::pair<IpAddress, std::uint16_t>, std::unique_ptr<UdpAssociation>> associations_;
};

}  // namespace berth::net
