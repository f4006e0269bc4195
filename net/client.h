// The engine's side of the network process's socket: one connection, one request at a time,
// blocking (a request costs a millisecond or two; use it from a worker thread or strand). Not
// thread-safe. A caller that wants its own loop uses protocol.h and message_socket.h directly.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "net/protocol.h"

namespace berth::net {

class NetworkClient final {
  public:
    /// Throws Error{not_found} when no network process listens at `path`.
    static NetworkClient connect(const std::string& path);
    explicit NetworkClient(UniqueFd socket) : socket_(std::move(socket)) {}

    void ensure_network(const NetworkSpec& network);
    void remove_network(const std::string& id);
    void attach(const Attachment& attachment, BorrowedFd network_namespace);
    void loopback(BorrowedFd network_namespace);
    void detach(const Detach& request);
    void set_default_route(const SetDefaultRoute& route, BorrowedFd network_namespace);
    void release(const Release& request);
    void keep(const Keep& wanted);
    /// The ports really bound, one entry a family.
    std::vector<PortBinding> publish(const PublishedPorts& ports, BorrowedFd network_namespace);
    void unpublish(const std::string& container);
    NetworkState state();

  private:
    /// Sends and waits for the reply; throws the error it carries, or Error{unavailable} when the
    /// network process is gone or does not answer.
    Reply call(const Request& request, const std::vector<BorrowedFd>& fds = {});

    UniqueFd socket_;
    std::int64_t next_seq_ = 1;
};

}  // namespace berth::net
