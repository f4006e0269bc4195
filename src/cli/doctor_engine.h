// What `berth doctor` asks of this user's engine and of the docker client's settings: does it run,
// do clients reach it, what does it warn of. The judgement is pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/docker_context.h"
#include "cli/user_service.h"
#include "rootlesskit/finding.h"

namespace berth::cli {

struct EngineFacts final {
    std::string own_program;  // full path of berth, for commands
    std::string own_host;
    std::string host_problem;  // why own_host is empty
    bool answers = false;
    std::string version;
    std::vector<std::string> warnings;  // of /info
    bool has_systemd = false;
    UnitState units = UnitState::absent;
    std::string holder_of_lock;  // what the lock says while a supervisor holds it
    bool docker_cli = false;
    std::string docker_host;  // DOCKER_HOST
    DockerContext context;    // that the docker CLI takes otherwise
};

EngineFacts gather_engine_facts();
std::vector<rootlesskit::Finding> examine(const EngineFacts& facts);

}  // namespace berth::cli
