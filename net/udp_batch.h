// Up to 32 datagrams taken from a socket at once, and sent on in as few system calls as possible:
// a run of equal sizes goes out as one super-datagram that the kernel cuts (UDP_SEGMENT, 4.18).
// The memory is 2 MB of which only the pages that datagrams need are ever touched. One thread.
#pragma once

#include <memory>
#include <span>

#include "base/unique_fd.h"
#include "linux/socket_address.h"

namespace berth::net {

/// Who sent a datagram, and to which of our addresses.
struct UdpPeer final {
    linux_os::SocketAddress client;
    IpAddress local;
};

class UdpBatch final {
  public:
    static constexpr std::size_t kDatagrams = 32;

    UdpBatch();
    ~UdpBatch();
    UdpBatch(const UdpBatch&) = delete;
    UdpBatch& operator=(const UdpBatch&) = delete;

    /// Takes what waits, without blocking. False when there was nothing.
    bool receive(BorrowedFd socket);
    /// An error that arrived instead, as the answer to an earlier datagram, is passed over.
    std::size_t size() const { return count_; }
    const UdpPeer& peer(std::size_t index) const;
    /// Sends the datagrams [first, last) on over a connected socket.
    void send(BorrowedFd socket, std::size_t first, std::size_t last);
    /// Sends all of them to `peer`, from its local address.
    void answer(BorrowedFd socket, const UdpPeer& peer);

  private:
    struct Slots;
    // The end of the run of datagrams from `first` that may travel as one.
    std::size_t run_end(std::size_t first, std::size_t last) const;
    void send_run(BorrowedFd socket, std::size_t first, std::size_t last, const UdpPeer* peer);
    void send_all(BorrowedFd socket, std::size_t first, std::size_t last, const UdpPeer* peer);

    std::unique_ptr<Slots> slots_;
    std::size_t count_ = 0;
};

}  // namespace berth::net
