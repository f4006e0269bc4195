// One published UDP port. Each client gets a flow: a socket of its own towards the container, in
// the client's name, so that answers find their way back. It is closed after 90 s without a
// datagram, or to make room for a new client when it is the one used longest ago. Answers leave
// from the local address the client wrote to. Relay thread only.
//
// Datagrams are taken in batches; equal-sized ones of a flow go on as one (UDP_SEGMENT), which the
// receiver sees as sent.
#pragma once

#include <chrono>
#include <list>
#include <map>
#include <memory>

#include "base/clock.h"
#include "linux/socket_address.h"
#include "net/client_source.h"
#include "net/poller.h"
#include "net/relay_loop.h"
#include "net/udp_batch.h"

namespace berth::net {

class UdpFlow;

/// What the relays of a thread share; outlives them.
struct UdpRelayParts final {
    Poller& poller;
    const ClientSource& source;
    std::unique_ptr<UdpBatch> batch;  // made at the first use
};

class UdpRelay final : public PollTarget {
  public:
    UdpRelay(HostSocket socket, UdpRelayParts& parts);
    ~UdpRelay() override;
    void on_events(std::uint32_t events) override;
    HostPort host() const {
        return {socket_.transport, socket_.host.address(), socket_.host.port()};
    }
    /// Clients are relayed there from now on; call between rounds.
    void set_target(const IpAddress& address);
    /// Closes what was idle too long or is too much; call between rounds.
    void expire(SteadyTime now);
    bool in_use() const { return !flows_.empty(); }

  private:
    friend class UdpFlow;
    using Key = std::pair<IpAddress, std::uint16_t>;

    UdpFlow* flow_of(const UdpPeer& peer);
    UdpFlow* new_flow(const Key& key, const UdpPeer& peer);
    void touch(const Key& key);

    HostSocket socket_;
    UdpRelayParts& parts_;
    std::size_t max_flows_;
    std::list<std::unique_ptr<UdpFlow>> flows_;  // the one used last in front
    std::map<Key, std::list<std::unique_ptr<UdpFlow>>::iterator> by_client_;
};

}  // namespace berth::net
