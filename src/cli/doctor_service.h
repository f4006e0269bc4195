// What `berth doctor` asks of systemd: the cgroup hierarchy, the user bus, delegation and
// lingering. The gathering blocks on D-Bus (systemd/client.h); the judgement is pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rootlesskit/finding.h"
#include "systemd/client.h"

namespace berth::cli {

enum class CgroupHierarchy { unified, hybrid, legacy, none };

struct ServiceFacts final {
    std::string user;  // for commands
    uid_t uid = 0;
    std::string os_release;
    bool booted = false;        // with systemd
    bool in_container = false;  // whose boot parameters are somebody else's
    CgroupHierarchy hierarchy = CgroupHierarchy::none;
    std::vector<std::string> kernel_controllers;  // at the root of the hierarchy
    bool user_manager = false;                    // its private socket is there
    bool bus_socket = false;                      // of the user
    std::optional<systemd::ManagerFacts> manager;
    std::string manager_problem;
    std::optional<systemd::Linger> linger;
    std::string linger_problem;
};

ServiceFacts gather_service_facts(const std::string& user, const std::string& os_release);
std::vector<rootlesskit::Finding> examine(const ServiceFacts& facts);

}  // namespace berth::cli
