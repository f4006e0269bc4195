// A small epoll loop core: descriptors with a target that is told about events, deletion of
// targets after the round in which they died. One thread each.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/unique_fd.h"

namespace berth::net {

/// Something that a descriptor's events go to. Lives until the end of the round it is retired in.
class PollTarget {
  public:
    virtual ~PollTarget() = default;
    virtual void on_events(std::uint32_t events) = 0;
};

class Poller final {
  public:
    Poller();
    void add(BorrowedFd fd, PollTarget& target, std::uint32_t events);
    /// Before the descriptor is closed: a forked process may hold a copy, which goes on reporting.
    void remove(BorrowedFd fd);
    /// Waits at most `timeout_ms` (negative: for ever) and tells the targets. What one throws is
    /// logged: the traffic of the others goes on.
    void run_once(int timeout_ms);

  private:
    UniqueFd epoll_;
};

}  // namespace berth::net
