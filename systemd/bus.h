// What berth-systemd does over D-Bus, one function a request of protocol.h. bus.cc is the only file
// of the project that uses sdbus-c++. Each opens the bus that it needs, blocks until the answer and
// throws Error (protocol.h says which kinds).
#pragma once

#include <string>

#include "systemd/protocol.h"

namespace berth::systemd::bus {

/// Makes the scope, awaits its job and gives its cgroup below the hierarchy.
std::string start_scope(const Scope& scope);
void stop_unit(const std::string& name);
UnitJob unit_job(pid_t pid);
/// All but `controllers`, which are no matter of D-Bus.
ManagerFacts manager_facts();
Linger linger(uid_t uid);
void set_linger(uid_t uid, Linger wanted);

}  // namespace berth::systemd::bus
