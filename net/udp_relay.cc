#include "net/udp_relay.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "base/error.h"

namespace berth::net {
namespace {

constexpr int kDatagramsPerRound = 64;
// As long as Docker's proxy keeps them.
constexpr std::chrono::seconds kIdleTime{90};
constexpr std::size_t kMaxAssociations = 1024;

using Control = std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))>;

IpAddress local_address(msghdr& header) {
    for (cmsghdr* item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item)) {
        if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
            in_pktinfo packet{};
            std::memcpy(&packet, CMSG_DATA(item), sizeof packet);
            return {Family::v4, ntohl(packet.ipi_addr.s_addr)};
        }
        if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo packet{};
            std::memcpy(&packet, CMSG_DATA(item), sizeof packet);
            sockaddr_in6 v6{};
            v6.sin6_family = AF_INET6;
            v6.sin6_addr = packet.ipi6_addr;
            SocketAddress address;
            std::memcpy(address.get(), &v6, sizeof v6);
            return address.address();
        }
    }
    return {};
}

template <typename PacketInfo>
void put_control(msghdr& header, int level, int type, const PacketInfo& packet) {
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = level;
    item->cmsg_type = type;
    item->cmsg_len = CMSG_LEN(sizeof packet);
    std::memcpy(CMSG_DATA(item), &packet, sizeof packet);
    header.msg_controllen = CMSG_SPACE(sizeof packet);
}

void put_local_address(msghdr& header, const IpAddress& local) {
    if (local.family == Family::v4) {
        in_pktinfo packet{};
        packet.ipi_spec_dst.s_addr = htonl(static_cast<std::uint32_t>(local.value));
        return put_control(header, IPPROTO_IP, IP_PKTINFO, packet);
    }
    in6_pktinfo packet{};
    const SocketAddress address{local, 0};
    packet.ipi6_addr = reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr;
    put_control(header, IPPROTO_IPV6, IPV6_PKTINFO, packet);
}

}  // namespace

/// The socket towards the container of one client.
class UdpAssociation final : public PollTarget {
  public:
    UdpAssociation(UdpRelay& relay, UdpRelay::Peer peer, UniqueFd socket)
        : relay_(relay), peer_(std::move(peer)), socket_(std::move(socket)) {
        relay_.poller_.add(socket_, *this, EPOLLIN);
    }

    void send(std::size_t length) {
        last_used_ = std::chrono::steady_clock::now();
        // Lost when the container does not take it, as on any wire.
        ::send(socket_.get(), relay_.datagram_.data(), length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }

    void on_events(std::uint32_t) override {
        for (int i = 0; i < kDatagramsPerRound; ++i) {
            // An error here is an ICMP answer to an earlier datagram; reading takes it away.
            const ssize_t length = ::recv(socket_.get(), relay_.datagram_.data(),
                                          relay_.datagram_.size(), MSG_DONTWAIT);
            if (length < 0) return;
            last_used_ = std::chrono::steady_clock::now();
            relay_.answer(peer_, static_cast<std::size_t>(length));
        }
    }

    bool is_idle(SteadyTime now) const { return now - last_used_ > kIdleTime; }

  private:
    UdpRelay& relay_;
    UdpRelay::Peer peer_;
    UniqueFd socket_;
    SteadyTime last_used_ = std::chrono::steady_clock::now();
};

UdpRelay::UdpRelay(HostSocket socket, Poller& poller, std::span<char> datagram)
    : socket_(std::move(socket)), poller_(poller), datagram_(datagram) {
    const int on = 1;
    ::setsockopt(socket_.socket.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    ::setsockopt(socket_.socket.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    poller_.add(socket_.socket, *this, EPOLLIN);
}

UdpRelay::~UdpRelay() = default;

void UdpRelay::on_events(std::uint32_t) {
    for (int i = 0; i < kDatagramsPerRound; ++i)
        if (!forward_one()) return;
}

bool UdpRelay::forward_one() {
    Peer peer;
    iovec part{datagram_.data(), datagram_.size()};
    alignas(cmsghdr) Control control{};
    msghdr header{};
    header.msg_name = peer.client.get();
    header.msg_namelen = SocketAddress::capacity();
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t length = ::recvmsg(socket_.socket.get(), &header, MSG_DONTWAIT);
    if (length < 0) return errno == EINTR || errno == ECONNREFUSED;
    peer.local = local_address(header);
    if (UdpAssociation* association = association_of(peer))
        association->send(static_cast<std::size_t>(length));
    return true;
}

UdpAssociation* UdpRelay::association_of(const Peer& peer) {
    const auto key = std::pair{peer.client.address(), peer.client.port()};
    if (const auto found = associations_.find(key); found != associations_.end())
        return found->second.get();
    // New clients are not served while this many are active; idle ones make room in time.
    if (associations_.size() >= kMaxAssociations) return nullptr;
    const SocketAddress target{socket_.container_address, socket_.container_port};
    UniqueFd socket{::socket(target.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!socket || ::connect(socket.get(), target.get(), target.length()) < 0) return nullptr;
    auto made = std::make_unique<UdpAssociation>(*this, peer, std::move(socket));
    return associations_.emplace(key, std::move(made)).first->second.get();
}

void UdpRelay::answer(const Peer& peer, std::size_t length) {
    SocketAddress client = peer.client;
    iovec part{datagram_.data(), length};
    alignas(cmsghdr) Control control{};
    msghdr header{};
    header.msg_name = client.get();
    header.msg_namelen = client.length();
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    put_local_address(header, peer.local);
    ::sendmsg(socket_.socket.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void UdpRelay::expire(SteadyTime now) {
    std::erase_if(associations_, [&](const auto& entry) { return entry.second->is_idle(now); });
}

}  // namespace berth::net
