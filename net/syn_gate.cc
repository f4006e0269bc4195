#include "net/syn_gate.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "net/splice_pump.h"

namespace berth::net {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxPending = 8192;
constexpr std::size_t kMaxPendingOfSource = 2048;
// One source has this part of all connections at most.
constexpr std::size_t kShares = 4;
constexpr std::size_t kPacketBytes = 65536;
// What of a SYN is kept: data in it (TCP Fast Open) counts on a full frame of Ethernet at most. A
// longer one is dropped, and comes again without its data.
constexpr std::size_t kMaxHeldBytes = 2048;
constexpr int kPacketsPerRound = 64;
// The handshake happens inside this machine; the container gave up if it lasts this long.
constexpr auto kHandshakeTime = 8s;
constexpr auto kExpiryPeriod = 1s;
// Retransmissions of a SYN come after 1, 2, 4 … s, or the first few each second (Linux 6.5). One
// that is much overdue will not come: the container gave up, which no packet tells.
constexpr int kMaxBackoff = 7;

SteadyTime overdue(int syns) {
    return std::chrono::steady_clock::now() +
           std::chrono::seconds((1 << std::min(syns, kMaxBackoff)) + 1);
}

bool is_prefix(const IpAddress& address, const char* subnet) {
    return Subnet::parse(subnet).contains(address);
}

// An answer that connect(2) takes for `error`; nothing when only silence says it.
std::string packet_for(int error, const TcpSegment& segment, const IpAddress& router,
                       PacketBytes packet) {
    switch (error) {
        case ECONNREFUSED:
        case ECONNRESET:
            return reset_packet(segment);
        case ENETUNREACH:
            return unreachable_packet(Unreachable::network, router, packet);
        case EHOSTUNREACH:
        case EHOSTDOWN:
            return unreachable_packet(Unreachable::host, router, packet);
        case EACCES:
        case EPERM:
            return unreachable_packet(Unreachable::prohibited, router, packet);
        default:
            return {};
    }
}

using Counts = std::map<IpAddress, std::size_t>;

std::size_t count_of(const Counts& counts, const IpAddress& source) {
    const auto found = counts.find(source);
    return found == counts.end() ? 0 : found->second;
}

void count_down(Counts& counts, const IpAddress& source) {
    if (const auto found = counts.find(source); found != counts.end() && --found->second == 0)
        counts.erase(found);
}

PacketBytes bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

int refusal_of(const IpAddress& destination) {
    if (destination.family == IpFamily::v4) {
        if (is_prefix(destination, "127.0.0.0/8") || is_prefix(destination, "0.0.0.0/8"))
            return ECONNREFUSED;
        return is_prefix(destination, "169.254.0.0/16") ? ENETUNREACH : 0;
    }
    // ::, ::1 and IPv4 in disguise
    if (is_prefix(destination, "::/127")) return ECONNREFUSED;
    const bool unreachable = is_prefix(destination, "::ffff:0:0/96") ||
                             is_prefix(destination, "fe80::/10") ||
                             is_prefix(destination, "ff00::/8");
    return unreachable ? ENETUNREACH : 0;
}

/// A connection whose container waits in connect(2).
class SynGate::Pending final : public PollTarget {
  public:
    Pending(SynGate& gate, const TcpSegment& segment, PacketBytes packet, UniqueFd socket)
        : host(std::move(socket)), gate_(gate), segment_(segment) {
        hold(packet);
    }

    void on_events(std::uint32_t) override {
        if (!host) return;
        pollfd polled{host.get(), POLLOUT, 0};
        if (::poll(&polled, 1, 0) == 1) gate_.settle(*this);
    }

    // The latest copy: its time stamp is echoed, and an old one would show as a long round trip,
    // on which the container would base its timers.
    void hold(PacketBytes packet) {
        syn_.assign(reinterpret_cast<const char*>(packet.data()), packet.size());
        deadline = overdue(++syns_);
    }

    const TcpSegment& segment() const { return segment_; }
    PacketBytes syn() const { return bytes_of(syn_); }

    UniqueFd host;
    bool ready = false;      // the host's connection stands, the SYN went back
    bool was_reset = false;  // it stood, and the other end reset it since
    SteadyTime deadline;

  private:
    SynGate& gate_;
    TcpSegment segment_;
    std::string syn_;
    int syns_ = 0;
};

class SynGate::Device final : public PollTarget {
  public:
    explicit Device(SynGate& gate)
        : gate_(gate), packet_(std::make_unique_for_overwrite<std::uint8_t[]>(kPacketBytes)) {}

    void on_events(std::uint32_t) override {
        for (int i = 0; i < kPacketsPerRound; ++i) {
            const ssize_t length = ::read(gate_.sockets_.device.get(), packet_.get(), kPacketBytes);
            if (length <= 0) return;
            gate_.on_packet({packet_.get(), static_cast<std::size_t>(length)});
        }
    }

  private:
    SynGate& gate_;
    std::unique_ptr<std::uint8_t[]> packet_;
};

class SynGate::Listener final : public PollTarget {
  public:
    Listener(SynGate& gate, BorrowedFd listener) : gate_(gate), listener_(listener) {}
    void on_events(std::uint32_t) override { gate_.accept_all(listener_); }

  private:
    SynGate& gate_;
    BorrowedFd listener_;
};

SynGate::SynGate(GateSockets sockets, std::size_t max_connections, HostServices services,
                 Relay relay)
    : sockets_(std::move(sockets)),
      max_connections_(max_connections),
      services_(services),
      relay_(std::move(relay)),
      device_(std::make_unique<Device>(*this)) {
    thread_.poller().add(sockets_.device, *device_, EPOLLIN);
    for (const UniqueFd* listener : {&sockets_.listener4, &sockets_.listener6}) {
        if (!*listener) continue;
        listeners_.push_back(std::make_unique<Listener>(*this, *listener));
        // Edge-triggered: out of descriptors, the next round of expire() tries again.
        thread_.poller().add(*listener, *listeners_.back(), EPOLLIN | EPOLLET);
    }
    thread_.start([this] { return finish_round(); });
}

SynGate::~SynGate() { stop(); }

void SynGate::stop() { thread_.stop(); }

void SynGate::set_subnets(std::vector<GatedSubnet> subnets) {
    thread_.post([this, moved = std::move(subnets)]() mutable { subnets_ = std::move(moved); });
}

const GatedSubnet* SynGate::subnet_of(const IpAddress& source) const {
    const auto found = std::ranges::find_if(
        subnets_, [&](const GatedSubnet& known) { return known.subnet.contains(source); });
    return found == subnets_.end() ? nullptr : &*found;
}

void SynGate::on_packet(PacketBytes packet) {
    const auto segment = parse_tcp(packet);
    if (!segment || !subnet_of(segment->key.source)) return;
    if (segment->is_opening())
        on_syn(*segment, packet);
    else if (!segment->rst)
        on_other(*segment, packet);
}

// The kernel found no socket for a segment. While it swaps the request of a handshake for the
// connection it may miss both, on another CPU: then it looks again. Else nobody knows of it.
void SynGate::on_other(const TcpSegment& segment, PacketBytes packet) {
    const auto found = pending_.find(segment.key);
    const bool known =
        relayed_.contains(segment.key) || (found != pending_.end() && found->second->ready);
    if (known) return write(packet);
    const std::string reset = reset_packet(segment);
    write(bytes_of(reset));
}

void SynGate::on_syn(const TcpSegment& segment, PacketBytes packet) {
    if (packet.size() > kMaxHeldBytes) return;
    if (const auto found = pending_.find(segment.key); found != pending_.end()) {
        Pending& pending = *found->second;
        if (pending.segment().sequence == segment.sequence)
            return pending.ready ? write(packet) : pending.hold(packet);
        drop(segment.key);
    }
    if (const auto found = relayed_.find(segment.key); found != relayed_.end()) {
        if (found->second.sequence == segment.sequence) return;
        // The container uses the port anew; what was relayed ends by itself.
        relayed_.erase(found);
    }
    begin(segment, packet);
}

bool SynGate::is_full(const IpAddress& source) const {
    const std::size_t pending = count_of(pending_of_, source);
    return pending_.size() >= kMaxPending || pending >= kMaxPendingOfSource ||
           pending_.size() + handed_over_ >= max_connections_ ||
           pending + count_of(handed_over_of_, source) >= max_connections_ / kShares;
}

void SynGate::begin(const TcpSegment& segment, PacketBytes packet) {
    const ConnectionKey& key = segment.key;
    if (const int error = refusal_of(key.destination)) return answer(segment, packet, error);
    if (is_full(key.source)) return;
    const auto destination = beyond_alias(key.destination, services_);
    if (!destination) return answer(segment, packet, ENETUNREACH);
    const linux_os::SocketAddress target{*destination, key.destination_port};
    UniqueFd host{::socket(target.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!host) return;
    set_socket_option(host, IPPROTO_TCP, TCP_NODELAY, 1);
    if (::connect(host.get(), target.get(), target.length()) < 0 && errno != EINPROGRESS)
        return answer(segment, packet, errno);
    auto pending = std::make_unique<Pending>(*this, segment, packet, std::move(host));
    Pending& added = *pending;
    thread_.poller().add(added.host, added, EPOLLOUT | EPOLLET);
    pending_.emplace(key, std::move(pending));
    ++pending_of_[key.source];
    added.on_events(0);  // near destinations have answered already
}

// The host's connection stands or failed.
void SynGate::settle(Pending& pending) {
    if (pending.ready) return;
    const int error = take_socket_error(pending.host);
    // A reset, other than a refusal, comes after the connection stood: connect(2) succeeded.
    pending.was_reset = error == ECONNRESET;
    if (error != 0 && !pending.was_reset) {
        answer(pending.segment(), pending.syn(), error);
        return drop(ConnectionKey{pending.segment().key});
    }
    pending.ready = true;
    pending.deadline = std::chrono::steady_clock::now() + kHandshakeTime;
    write(pending.syn());
}

void SynGate::answer(const TcpSegment& segment, PacketBytes packet, int error) {
    const GatedSubnet* subnet = subnet_of(segment.key.source);
    if (!subnet) return;
    const std::string text = packet_for(error, segment, subnet->gateway, packet);
    if (!text.empty()) write(bytes_of(text));
}

void SynGate::write(PacketBytes packet) {
    // A packet that the device does not take is lost, as on any wire.
    if (::write(sockets_.device.get(), packet.data(), packet.size()) < 0)
        log::debug("the gate lost a packet: errno {}", errno);
}

void SynGate::drop(const ConnectionKey& key) {
    const auto found = pending_.find(key);
    if (found == pending_.end()) return;
    count_down(pending_of_, key.source);
    if (found->second->host) thread_.poller().remove(found->second->host);
    found->second->host.reset();
    graveyard_.push_back(std::move(found->second));
    pending_.erase(found);
}

void SynGate::accept_all(BorrowedFd listener) {
    while (true) {
        UniqueFd container{
            ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (container)
            accept_one(std::move(container));
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

void SynGate::accept_one(UniqueFd container) {
    linux_os::SocketAddress source, destination;
    socklen_t length = linux_os::SocketAddress::capacity();
    const bool named = ::getpeername(container.get(), source.get(), &length) == 0 &&
                       (length = linux_os::SocketAddress::capacity(),
                        ::getsockname(container.get(), destination.get(), &length) == 0);
    if (!named) return;  // it was reset already
    const ConnectionKey key{source.address(), destination.address(), source.port(),
                            destination.port()};
    const auto found = pending_.find(key);
    if (found == pending_.end() || !found->second->ready) return reset_on_close(container);
    Pending& pending = *found->second;
    if (pending.was_reset) {
        reset_on_close(container);
        return drop(key);
    }
    thread_.poller().remove(pending.host);
    UniqueFd host = std::move(pending.host);
    const std::uint64_t id = ++last_id_;
    relayed_[key] = {pending.segment().sequence, id};
    drop(key);
    ++handed_over_;
    ++handed_over_of_[key.source];
    relay_(std::move(container), std::move(host),
           [this, key, id] { thread_.post([this, key, id] { on_ended(key, id); }); });
}

void SynGate::on_ended(const ConnectionKey& key, std::uint64_t id) {
    --handed_over_;
    count_down(handed_over_of_, key.source);
    const auto found = relayed_.find(key);
    if (found != relayed_.end() && found->second.id == id) relayed_.erase(found);
}

int SynGate::finish_round() {
    graveyard_.clear();
    if (pending_.empty()) return -1;
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now >= next_expiry_) {
        expire(now);
        next_expiry_ = now + kExpiryPeriod;
    }
    return static_cast<int>(std::chrono::milliseconds(kExpiryPeriod).count());
}

void SynGate::expire(SteadyTime now) {
    std::vector<ConnectionKey> late;
    for (const auto& [key, pending] : pending_)
        if (pending->deadline <= now) late.push_back(key);
    for (const ConnectionKey& key : late) drop(key);
    graveyard_.clear();
    for (const UniqueFd* listener : {&sockets_.listener4, &sockets_.listener6})
        if (*listener) accept_all(*listener);
}

}  // namespace berth::net
