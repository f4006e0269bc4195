// Tells when the kernel kills a process of the container for want of memory: memory.events of its
// cgroup, whose changes the kernel reports to poll (cgroup v2; at most 10 ms late, so the exit of
// what was killed may be seen first: ask killed() then). A file that cannot be polled, as on a
// plain file system, is watched by inotify, of which a user has few instances. On the shim's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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
    void watch_by_inotify(const std::string& path);
    void changed();
    void stop();
    /// Nothing when the file has gone with its cgroup.
    std::optional<std::uint64_t> count() const;

    EventLoop& loop_;
    std::function<void()> on_kill_;
    UniqueFd file_;
    UniqueFd notices_;  // without poll
    bool watched_ = false;
    std::uint64_t first_ = 0;
    std::uint64_t told_ = 0;
};

/// The value of "oom_kill" in the text of memory.events. Pure.
std::uint64_t oom_kills(const std::string& events);

}  // namespace berth::shim
