// A socket of this host that stands for the ssh agent of a build's client: each connection to it is
// carried there. Engine thread; the last connection may outlive this object.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "engine/build/build.h"
#include "engine/context.h"

namespace berth::engine {

class AgentSocket final {
  public:
    struct Access final {
        uid_t uid = 0;
        gid_t gid = 0;
        mode_t mode = 0600;
    };
    AgentSocket(const Context& engine, BuildAgents agents, std::string id, Access access);
    ~AgentSocket();
    AgentSocket(const AgentSocket&) = delete;
    AgentSocket& operator=(const AgentSocket&) = delete;

    std::string path() const;
    /// Below the run-time directory; what a former engine left there goes.
    static void clear(const std::string& exec_root);

  private:
    struct State;
    std::string directory_;
    std::shared_ptr<State> state_;
};

}  // namespace berth::engine
