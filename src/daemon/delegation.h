// Gets the delegated part of the cgroup tree and lays it out: directory/support with the processes
// that no container's limit may hit, controllers passed on. It fails no start: what is missing is
// the result's `problem`. Supervisor's thread; systemd works while the children start.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "daemon/delegation_plan.h"
#include "engine/settings.h"
#include "systemd/client.h"

namespace berth::daemon {

class Delegation final {
  public:
    /// Looks at where this process is.
    explicit Delegation(const Config& config);

    /// Asks systemd for the scope of `members` (the holder first) unless the holder is in one that
    /// is laid out. Outside of the user manager this process moves into a scope first.
    void begin(const std::vector<pid_t>& members);
    /// Waits for the answer and lays the directory out; afterwards result() is whole.
    void finish();
    /// Puts a process of ours where the holder is; does nothing without a delegation.
    void take_in(pid_t process);
    /// Removes what systemd does not: call it when nothing is left inside.
    void remove() const;
    const engine::CgroupDelegation& result() const { return result_; }

  private:
    void move_self();
    std::string expected_directory() const;
    bool adopt(pid_t holder);
    void await_scope();
    void lay_out(const std::string& directory);
    void use_directory();
    void enable_controllers();
    void fail(const std::string& problem);
    void fail_without_manager(const Error& error);

    CgroupPlace place_;
    DelegationPlan plan_;
    std::vector<pid_t> members_;
    std::optional<systemd::Call> pending_;
    SteadyTime asked_;
    engine::CgroupDelegation result_;
};

}  // namespace berth::daemon
