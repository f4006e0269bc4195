// The gate of outgoing TCP connections. Rules in the container network namespace send the SYN of a
// new connection to a TUN device; it is held here while an ordinary connection is made from the
// host's network namespace. If that succeeds the SYN goes back, the kernel accepts it
// transparently and both connections are handed over to be spliced; if it fails the container gets
// the reset or ICMP error that gives connect(2) the errno of a plain host. Nothing is answered
// while nothing is known, so the container's own retransmission and timeout run.
//
// Limits: connections that are not established yet, and those in all, each also of one source; past
// them a SYN is dropped, as by a full backlog. No timer runs while none is pending. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "linux/socket_address.h"
#include "net/host_alias.h"
#include "net/loop_thread.h"
#include "net/tcp_packet.h"

namespace berth::net {

/// A network whose connections come through the gate.
struct GatedSubnet final {
    Subnet subnet;
    IpAddress gateway;  // ICMP errors come from it
};

/// Made in the container network namespace.
struct GateSockets final {
    UniqueFd device;     // TUN without packet information, non-blocking
    UniqueFd listener4;  // transparent, non-blocking, where the rules lead SYNs of the device
    UniqueFd listener6;  // as above; empty without IPv6
};

class SynGate final {
  public:
    /// Takes two established connections, on the gate's thread; `ended` may be called from any
    /// thread when nothing of them is left.
    using Relay =
        std::function<void(UniqueFd container, UniqueFd host, std::function<void()> ended)>;

    /// Starts the thread, whose host connections begin in the caller's network namespace.
    SynGate(GateSockets sockets, std::size_t max_connections, HostServices services, Relay relay);
    ~SynGate();
    SynGate(const SynGate&) = delete;
    SynGate& operator=(const SynGate&) = delete;

    /// Nothing is handed over any more when it returns.
    void stop();
    /// From any thread. A packet from elsewhere is dropped.
    void set_subnets(std::vector<GatedSubnet> subnets);

  private:
    class Pending;
    class Device;
    class Listener;
    struct Relayed final {
        std::uint32_t sequence = 0;  // of its SYN
        std::uint64_t id = 0;
    };

    void on_packet(PacketBytes packet);
    void on_syn(const TcpSegment& segment, PacketBytes packet);
    void on_other(const TcpSegment& segment, PacketBytes packet);
    void begin(const TcpSegment& segment, PacketBytes packet);
    void settle(Pending& pending);
    void answer(const TcpSegment& segment, PacketBytes packet, int error);
    void write(PacketBytes packet);
    bool is_full(const IpAddress& source) const;
    const GatedSubnet* subnet_of(const IpAddress& source) const;
    void drop(const ConnectionKey& key);
    void accept_all(BorrowedFd listener);
    void accept_one(UniqueFd container);
    void on_ended(const ConnectionKey& key, std::uint64_t id);
    int finish_round();
    void expire(SteadyTime now);

    GateSockets sockets_;
    std::size_t max_connections_;
    HostServices services_;
    Relay relay_;
    std::vector<GatedSubnet> subnets_;
    std::unordered_map<ConnectionKey, std::unique_ptr<Pending>, ConnectionKeyHash> pending_;
    std::unordered_map<ConnectionKey, Relayed, ConnectionKeyHash> relayed_;
    // What was handed over and has not ended, also where relayed_ knows a newer one of that key.
    std::size_t handed_over_ = 0;
    std::map<IpAddress, std::size_t> pending_of_;      // by source
    std::map<IpAddress, std::size_t> handed_over_of_;  // by source
    std::vector<std::unique_ptr<Pending>> graveyard_;  // freed when the round is over
    std::uint64_t last_id_ = 0;
    SteadyTime next_expiry_{};
    std::unique_ptr<Device> device_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    LoopThread thread_;  // last: it uses all of the above
};

/// What connect(2) to `destination` fails with whatever the host could do: containers have no
/// business with the host's loopback and link-local addresses. 0: the host decides.
int refusal_of(const IpAddress& destination);

}  // namespace berth::net
