#include "net/udp_relay.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>

#include "net/splice_pump.h"

namespace berth::net {
namespace {

// Batches of one socket before others get their turn.
constexpr int kBatchesPerRound = 4;
// As long as Docker's proxy keeps them.
constexpr std::chrono::seconds kIdleTime{90};
constexpr std::size_t kMaxFlows = 4096;
constexpr int kReceiveBytes = 1 << 20;

// Clients of one port must not use up the descriptors that all ports live on.
std::size_t max_flows() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return kMaxFlows;
    return std::clamp<std::size_t>(limit.rlim_cur / 8, 1, kMaxFlows);
}

}  // namespace

/// The socket towards the container of one client.
class UdpFlow final : public PollTarget {
  public:
    UdpFlow(UdpRelay& relay, UdpRelay::Key key, UniqueFd socket)
        : relay_(relay), key_(std::move(key)), socket_(std::move(socket)) {
        relay_.parts_.poller.add(socket_, *this, EPOLLIN);
    }
    ~UdpFlow() override { relay_.parts_.poller.remove(socket_); }

    const UdpRelay::Key& key() const { return key_; }
    /// The datagrams [first, last) of the batch are this client's.
    void send(const UdpPeer& peer, std::size_t first, std::size_t last) {
        peer_ = peer;
        last_used_ = std::chrono::steady_clock::now();
        relay_.parts_.batch->send(socket_, first, last);
    }

    void on_events(std::uint32_t) override {
        UdpBatch& batch = *relay_.parts_.batch;
        for (int i = 0; i < kBatchesPerRound && batch.receive(socket_); ++i) {
            last_used_ = std::chrono::steady_clock::now();
            relay_.touch(key_);
            batch.answer(relay_.socket_.socket, peer_);
        }
    }

    bool is_idle(SteadyTime now) const { return now - last_used_ > kIdleTime; }

  private:
    UdpRelay& relay_;
    UdpRelay::Key key_;
    UdpPeer peer_;
    UniqueFd socket_;
    SteadyTime last_used_ = std::chrono::steady_clock::now();
};

UdpRelay::UdpRelay(HostSocket socket, UdpRelayParts& parts)
    : socket_(std::move(socket)), parts_(parts), max_flows_(max_flows()) {
    if (!parts_.batch) parts_.batch = std::make_unique<UdpBatch>();
    set_socket_option(socket_.socket, IPPROTO_IP, IP_PKTINFO, 1);
    set_socket_option(socket_.socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set_socket_option(socket_.socket, SOL_SOCKET, SO_RCVBUF, kReceiveBytes);
    parts_.poller.add(socket_.socket, *this, EPOLLIN);
}

UdpRelay::~UdpRelay() { parts_.poller.remove(socket_.socket); }

void UdpRelay::on_events(std::uint32_t) {
    UdpBatch& batch = *parts_.batch;
    for (int i = 0; i < kBatchesPerRound && batch.receive(socket_.socket); ++i) {
        for (std::size_t first = 0; first < batch.size();) {
            const UdpPeer peer = batch.peer(first);
            std::size_t last = first + 1;
            while (last < batch.size() &&
                   batch.peer(last).client.address() == peer.client.address() &&
                   batch.peer(last).client.port() == peer.client.port())
                ++last;
            if (UdpFlow* flow = flow_of(peer)) flow->send(peer, first, last);
            first = last;
        }
    }
}

UdpFlow* UdpRelay::flow_of(const UdpPeer& peer) {
    const Key key{peer.client.address(), peer.client.port()};
    if (!by_client_.contains(key)) return new_flow(key, peer);
    touch(key);
    return flows_.front().get();
}

void UdpRelay::touch(const Key& key) { flows_.splice(flows_.begin(), flows_, by_client_.at(key)); }

UdpFlow* UdpRelay::new_flow(const Key& key, const UdpPeer& peer) {
    const linux_os::SocketAddress target{socket_.container_address, socket_.container_port};
    const bool forgeable = socket_.clients == HostSocket::Clients::containers;
    const linux_os::SocketAddress client = forgeable ? linux_os::SocketAddress{} : peer.client;
    UniqueFd socket = parts_.source.connect(Transport::udp, client, target);
    if (!socket) return nullptr;
    flows_.push_front(std::make_unique<UdpFlow>(*this, key, std::move(socket)));
    by_client_.emplace(key, flows_.begin());
    return flows_.front().get();
}

void UdpRelay::set_target(const IpAddress& address) {
    if (address == socket_.container_address) return;
    socket_.container_address = address;
    by_client_.clear();
    flows_.clear();
}

void UdpRelay::expire(SteadyTime now) {
    while (!flows_.empty() && (flows_.size() > max_flows_ || flows_.back()->is_idle(now))) {
        by_client_.erase(flows_.back()->key());
        flows_.pop_back();
    }
}

}  // namespace berth::net
