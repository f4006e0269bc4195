// What a client gives for the repositories of its build: secrets by BuildKit's names, an ssh agent.
// Engine thread.
#pragma once

#include <memory>
#include <string>

#include "engine/build/agent_socket.h"
#include "engine/build/build.h"
#include "engine/build/git.h"

namespace berth::engine {

/// With the socket that `access` names.
struct HeldGitAccess final {
    GitAccess access;
    std::shared_ptr<const AgentSocket> agent;
};

async::Task<HeldGitAccess> git_access(const Context& engine, build::GitSource source,
                                      BuildSecrets secrets, BuildAgents agents);

}  // namespace berth::engine
