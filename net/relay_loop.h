// The thread that carries published ports. It lives in the container network namespace, so sockets
// it makes reach containers, while the listening sockets it is given belong to the host's. All
// traffic of all published ports runs here and never blocks; splice(2) moves TCP without copying.
#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "net/address.h"
#include "net/protocol.h"

namespace berth::net {

/// A bound (TCP: listening) socket of the host and where its traffic goes.
struct HostSocket final {
    Transport transport = Transport::tcp;
    UniqueFd socket;  // non-blocking
    IpAddress container_address;
    std::uint16_t container_port = 0;
};

class RelayLoop final {
  public:
    /// Starts the thread in `network_namespace`. Throws Error.
    explicit RelayLoop(BorrowedFd network_namespace);
    ~RelayLoop();
    RelayLoop(const RelayLoop&) = delete;
    RelayLoop& operator=(const RelayLoop&) = delete;

    /// Serves `socket` for the container `owner` from now on.
    void add(const std::string& owner, HostSocket socket);
    /// Closes the sockets and connections of `owner`; when it returns their ports are free.
    void remove(const std::string& owner);

  private:
    class Thread;
    std::unique_ptr<Thread> thread_;
};

}  // namespace berth::net
