// The shim's control connections: the inherited one and those that come through shim.sock. Any
// number at a time, none is fine too. A connection that breaks, sends nonsense or does not read
// its messages is closed; the engine connects again. Runs on the shim's loop.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "linux/message_socket.h"
#include "shim/event_loop.h"
#include "shim/protocol.h"

namespace berth::shim {

class Control final {
  public:
    using ConnectionId = unsigned;
    struct Callbacks final {
        std::function<void(ConnectionId, RequestMessage, std::vector<UniqueFd>)> on_request;
        std::function<void(ConnectionId)> on_closed;
        std::function<void(const std::string&)> on_problem;
    };

    Control(EventLoop& loop, Callbacks callbacks) : loop_(loop), callbacks_(std::move(callbacks)) {}
    ~Control();
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    void add(UniqueFd connection);
    void listen(const std::string& path);
    void send(ConnectionId connection, const FromShim& message,
              const std::vector<BorrowedFd>& fds = {});
    void broadcast(const FromShim& message);
    std::set<ConnectionId> connections() const;
    /// Stops listening, removes the socket file and closes every connection.
    void close_all();

  private:
    void readable(ConnectionId id);
    void handle(ConnectionId id, linux_os::Message message);
    void close(ConnectionId id);

    EventLoop& loop_;
    Callbacks callbacks_;
    std::string path_;
    UniqueFd listener_;
    std::map<ConnectionId, UniqueFd> connections_;
    ConnectionId next_ = 1;
};

}  // namespace berth::shim
