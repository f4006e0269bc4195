// Messages of `berth-systemd`, the short-lived program that speaks D-Bus for the rest of berth: one
// request and one reply on descriptor 3 (linux/message_socket), then it ends. Plain values and
// their JSON; no IO. A failure comes back as the `error` object of base/error.h kinds: unavailable
// (no bus, nobody there), denied (polkit), not_found (no such unit), conflict (the unit exists).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace berth::systemd {

/// The descriptor of the channel in berth-systemd.
constexpr int kRequestFd = 3;
/// TasksMax and the like without a limit.
constexpr std::uint64_t kUnlimited = UINT64_MAX;

/// A transient scope of the user manager: Delegate=yes, CollectMode=inactive-or-failed,
/// OOMPolicy=continue.
struct Scope final {
    std::string name;  // ends in .scope
    std::string description;
    std::string slice;  // ends in .slice
    std::vector<pid_t> pids;
    std::vector<std::string> before;  // units that are stopped first
    std::optional<std::uint64_t> memory_max;
    std::optional<std::uint64_t> tasks_max;
    std::optional<std::uint64_t> cpu_quota_per_second_us;
    bool operator==(const Scope&) const = default;
};

/// What the user manager is about to do with a unit.
enum class Job { none, start, stop, restart };

struct UnitJob final {
    std::string unit;  // the unit that the process is in; empty: none of the user manager's
    Job job = Job::none;
    bool manager_stopping = false;  // the end of the session or of the machine
    bool operator==(const UnitJob&) const = default;
};

/// The user manager as it answers on the user bus.
struct ManagerFacts final {
    std::string version;                   // "252.39-1~deb12u1"
    std::string state;                     // running, degraded, starting, stopping, ...
    std::string control_group;             // "/user.slice/user-1000.slice/user@1000.service"
    std::vector<std::string> controllers;  // delegated to it: its cgroup.controllers
    bool operator==(const ManagerFacts&) const = default;
};

enum class Linger { off, on };

nlohmann::json to_json(const Scope& scope);
Scope scope_from_json(const nlohmann::json& value);
nlohmann::json to_json(const UnitJob& job);
UnitJob unit_job_from_json(const nlohmann::json& value);
nlohmann::json to_json(const ManagerFacts& facts);
ManagerFacts manager_facts_from_json(const nlohmann::json& value);
/// "restart", "try-restart", "reload-or-start" and the like, as systemd names job types.
Job job_from_type(const std::string& type);

}  // namespace berth::systemd
