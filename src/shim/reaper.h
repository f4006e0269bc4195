// The shim is a subreaper: process 1 and execs become its children when the runtime ends. This
// reaps every child on SIGCHLD and tells who waits for it. A child that ends before its pid is
// known here (an exec may be gone before the runtime's pid file was read) is remembered.
// SIGCHLD must be blocked before the first child is made.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>

#include "base/unique_fd.h"
#include "linux/pid_fd.h"
#include "shim/event_loop.h"

namespace berth::shim {

class Reaper final {
  public:
    using Callback = std::function<void(linux_os::ExitStatus)>;

    explicit Reaper(EventLoop& loop);
    /// Calls back once when the child ends; before this returns when it has already ended.
    void expect(pid_t pid, Callback callback);
    /// True while a child of that pid may live: it was not reaped unseen.
    bool is_unreaped(pid_t pid) const { return !strays_.contains(pid); }
    /// A pid that is to become known soon is in flight: strays are remembered meanwhile.
    void begin_unknown() { ++unknown_; }
    void end_unknown();

  private:
    void reap_all();

    UniqueFd signals_;
    std::map<pid_t, Callback> waiting_;
    std::map<pid_t, linux_os::ExitStatus> strays_;
    int unknown_ = 0;
};

}  // namespace berth::shim
