// Tells when the kernel kills a process of the container for want of memory: memory.events of its
// cgroup, whose changes the kernel reports to inotify (cgroup v2; at most 10 ms late, so the exit
// of what was killed may be seen first: ask killed() then). On the shim's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "shim/event_loop.h"

namespace berth::shim {

class OomWatch final {
  public:
    /// Throws Error when the file is there and cannot be watched. Without the file (no memory
    /// controller) nothing is ever seen. `on_kill` is called for each increase.
    OomWatch(EventLoop& loop, const std::string& cgroup_directory, std::function<void()> on_kill);
    ~OomWatch();
    OomWatch(const OomWatch&) = delete;
    OomWatch& operator=(const OomWatch&) = delete;

    /// True when something was killed since the watch began.
    bool killed() const;

  private:
    void changed();
    std::uint64_t count() const;

    EventLoop& loop_;
    std::string file_;
    std::function<void()> on_kill_;
    UniqueFd notices_;
    std::uint64_t first_ = 0;
    std::uint64_t told_ = 0;
};

/// The value of "oom_kill" in the text of memory.events. Pure.
std::uint64_t oom_kills(const std::string& events);

}  // namespace berth::shim
