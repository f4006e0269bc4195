#include "net/udp_batch.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"

namespace berth::net {
namespace {

constexpr std::size_t kDatagramBytes = 65536;
// What fits an IP packet; the kernel allows 64 segments of at most that in sum.
constexpr std::size_t kMaxRunBytes = 65000;

using Control = std::array<char, CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int))>;

IpAddress local_address(msghdr& header) {
    for (cmsghdr* item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item)) {
        if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
            in_pktinfo packet{};
            std::memcpy(&packet, CMSG_DATA(item), sizeof packet);
            return {IpFamily::v4, ntohl(packet.ipi_addr.s_addr)};
        }
        if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo packet{};
            std::memcpy(&packet, CMSG_DATA(item), sizeof packet);
            sockaddr_in6 v6{};
            v6.sin6_family = AF_INET6;
            v6.sin6_addr = packet.ipi6_addr;
            linux_os::SocketAddress address;
            std::memcpy(address.get(), &v6, sizeof v6);
            return address.address();
        }
    }
    return {};
}

/// Control messages under construction.
class ControlWriter final {
  public:
    explicit ControlWriter(msghdr& header) : header_(header) {
        header.msg_control = buffer_.data();
        header.msg_controllen = 0;
    }
    template <typename Value>
    void put(int level, int type, const Value& value) {
        const std::size_t at = header_.msg_controllen;
        header_.msg_controllen = at + CMSG_SPACE(sizeof value);
        auto* item = reinterpret_cast<cmsghdr*>(buffer_.data() + at);
        item->cmsg_level = level;
        item->cmsg_type = type;
        item->cmsg_len = CMSG_LEN(sizeof value);
        std::memcpy(CMSG_DATA(item), &value, sizeof value);
    }
    void put_local_address(const IpAddress& local) {
        if (local.family == IpFamily::v4) {
            in_pktinfo packet{};
            packet.ipi_spec_dst.s_addr = htonl(static_cast<std::uint32_t>(local.value));
            return put(IPPROTO_IP, IP_PKTINFO, packet);
        }
        in6_pktinfo packet{};
        const linux_os::SocketAddress address{local, 0};
        packet.ipi6_addr = reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr;
        put(IPPROTO_IPV6, IPV6_PKTINFO, packet);
    }

  private:
    msghdr& header_;
    alignas(cmsghdr) Control buffer_{};
};

}  // namespace

struct UdpBatch::Slots final {
    std::array<mmsghdr, kDatagrams> messages{};
    std::array<iovec, kDatagrams> parts{};
    std::array<UdpPeer, kDatagrams> peers{};
    std::array<Control, kDatagrams> control alignas(cmsghdr){};
    char* bytes = nullptr;
};

UdpBatch::UdpBatch() : slots_(std::make_unique<Slots>()) {
    void* bytes = ::mmap(nullptr, kDatagrams * kDatagramBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED) throw_errno("making room for datagrams");
    slots_->bytes = static_cast<char*>(bytes);
}

UdpBatch::~UdpBatch() { ::munmap(slots_->bytes, kDatagrams * kDatagramBytes); }

bool UdpBatch::receive(BorrowedFd socket) {
    for (std::size_t i = 0; i < kDatagrams; ++i) {
        slots_->parts[i] = {slots_->bytes + i * kDatagramBytes, kDatagramBytes};
        msghdr& header = slots_->messages[i].msg_hdr;
        header = {};
        header.msg_name = slots_->peers[i].client.get();
        header.msg_namelen = linux_os::SocketAddress::capacity();
        header.msg_iov = &slots_->parts[i];
        header.msg_iovlen = 1;
        header.msg_control = slots_->control[i].data();
        header.msg_controllen = sizeof(Control);
    }
    const int count =
        ::recvmmsg(socket.get(), slots_->messages.data(), kDatagrams, MSG_DONTWAIT, nullptr);
    count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
    for (std::size_t i = 0; i < count_; ++i) {
        slots_->parts[i].iov_len = slots_->messages[i].msg_len;
        slots_->peers[i].local = local_address(slots_->messages[i].msg_hdr);
    }
    return count > 0 || errno == EINTR || errno == ECONNREFUSED;
}

const UdpPeer& UdpBatch::peer(std::size_t index) const { return slots_->peers[index]; }

void UdpBatch::send(BorrowedFd socket, std::size_t first, std::size_t last) {
    send_all(socket, first, last, nullptr);
}

void UdpBatch::answer(BorrowedFd socket, const UdpPeer& peer) {
    send_all(socket, 0, count_, &peer);
}

std::size_t UdpBatch::run_end(std::size_t first, std::size_t last) const {
    const std::size_t size = slots_->parts[first].iov_len;
    if (size == 0) return first + 1;
    std::size_t sum = size;
    std::size_t end = first + 1;
    while (end < last && slots_->parts[end].iov_len <= size && slots_->parts[end].iov_len > 0 &&
           sum + slots_->parts[end].iov_len <= kMaxRunBytes) {
        sum += slots_->parts[end].iov_len;
        // A shorter one may only be the last.
        if (slots_->parts[end++].iov_len < size) break;
    }
    return end;
}

void UdpBatch::send_all(BorrowedFd socket, std::size_t first, std::size_t last,
                        const UdpPeer* peer) {
    while (first < last) {
        const std::size_t end = run_end(first, last);
        send_run(socket, first, end, peer);
        first = end;
    }
}

void UdpBatch::send_run(BorrowedFd socket, std::size_t first, std::size_t last,
                        const UdpPeer* peer) {
    msghdr header{};
    ControlWriter control(header);
    linux_os::SocketAddress client;
    if (peer) {
        client = peer->client;
        header.msg_name = client.get();
        header.msg_namelen = client.length();
        control.put_local_address(peer->local);
    }
    if (last - first > 1)
        control.put(IPPROTO_UDP, UDP_SEGMENT,
                    static_cast<std::uint16_t>(slots_->parts[first].iov_len));
    header.msg_iov = &slots_->parts[first];
    header.msg_iovlen = last - first;
    // Lost when the receiver does not take it, as on any wire. A pending error is that of an
    // earlier datagram (ICMP); it is taken by the failing call, and the datagram goes out then.
    ssize_t sent = ::sendmsg(socket.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == ECONNREFUSED || errno == EHOSTUNREACH))
        sent = ::sendmsg(socket.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0 || last - first == 1) return;
    // Not on this kernel or path; segments beyond the path's MTU are refused as well.
    if (errno != EINVAL && errno != EIO && errno != EMSGSIZE && errno != EOPNOTSUPP) return;
    for (; first < last; ++first) send_run(socket, first, first + 1, peer);
}

}  // namespace berth::net
