// libslirp in process, on a thread of its own in the host's network namespace: what containers
// send to the tap becomes ordinary sockets of the user. All libslirp calls happen on that thread.
#pragma once

#include <memory>

#include "base/unique_fd.h"
#include "net/protocol.h"

namespace berth::net {

/// An MTU for libslirp where it carries TCP: it scales no window, so 65,535 bytes may be under way
/// to a container, which three such segments fill, and no scrap of a fourth. More of them keep both
/// ends busier; more yet cost more than that gains.
constexpr int kSegmentMtu = 21'880;

class UserStack final {
  public:
    /// Takes the tap. `mtu` is what libslirp keeps to, at most that of the tap. Throws Error.
    UserStack(UniqueFd tap, const ProcessConfig& config, int mtu);
    ~UserStack();
    UserStack(const UserStack&) = delete;
    UserStack& operator=(const UserStack&) = delete;

  private:
    class Loop;
    std::unique_ptr<Loop> loop_;
};

}  // namespace berth::net
