// The main loop of the network process: connections of the engine on network.sock, the
// supervisor's channel, and SIGTERM. One thread; requests are handled one after the other.
#pragma once

#include <list>
#include <string>

#include "base/unique_fd.h"
#include "net/service.h"

namespace berth::net {

class Server final {
  public:
    /// `supervisor` may close at any time: the process goes on without one.
    Server(Service& service, UniqueFd listener, UniqueFd supervisor, UniqueFd signals);
    /// Returns when SIGTERM or SIGINT came.
    void run();

  private:
    // False when the connection is over.
    bool serve(BorrowedFd connection);
    void hear_supervisor();
    void accept();

    Service& service_;
    UniqueFd listener_;
    UniqueFd supervisor_;
    UniqueFd signals_;
    std::list<UniqueFd> connections_;
    bool listener_paused_ = false;
};

}  // namespace berth::net
