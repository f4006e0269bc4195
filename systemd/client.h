// Asks systemd through `berth-systemd` (protocol.h), so that no long-lived process links a D-Bus
// library. Calls block until the answer or the deadline; each runs one short-lived program. Usable
// from any thread, also inside the user namespace. Throws Error{unavailable} in plain words where
// there is no bus or no systemd, without starting anything when the socket is not even there.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "linux/pid_fd.h"
#include "systemd/protocol.h"

namespace berth::systemd {

constexpr std::chrono::milliseconds kPatience{10'000};

/// A request under way. Destroying it ends the program.
class Call final {
  public:
    /// Sends `request` ("type" and its fields) to a new berth-systemd.
    explicit Call(nlohmann::json request);
    ~Call();
    Call(Call&&) noexcept = default;
    Call& operator=(Call&&) = delete;
    /// Waits for the reply. Throws Error as the header says, and what systemd refused.
    nlohmann::json finish(std::chrono::milliseconds patience = kPatience);

  private:
    linux_os::PidFd process_;
    UniqueFd channel_;
};

/// Begins to make a scope; `finish_scope` gives its cgroup below the hierarchy ("/user.slice/…").
Call begin_scope(const Scope& scope);
std::string finish_scope(Call call, std::chrono::milliseconds patience = kPatience);
/// Both at once. Throws Error{conflict} when the unit exists.
std::string start_scope(const Scope& scope, std::chrono::milliseconds patience = kPatience);
/// Stops a unit of the user manager and awaits it; one that is gone is fine.
void stop_unit(const std::string& name, std::chrono::milliseconds patience = kPatience);
/// What the user manager is doing with the unit that `pid` is in.
UnitJob unit_job(pid_t pid, std::chrono::milliseconds patience = kPatience);
ManagerFacts manager_facts(std::chrono::milliseconds patience = kPatience);
/// Whether the caller's services live without a login; set through logind on the system bus.
/// Throws Error{denied} with the command for an administrator when polkit refuses.
Linger linger(std::chrono::milliseconds patience = kPatience);
void set_linger(Linger wanted, std::chrono::milliseconds patience = kPatience);

}  // namespace berth::systemd
