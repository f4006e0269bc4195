// The Docker Engine API over an engine: routing, versions, errors; one file a resource. Runs on the
// io_context thread; owns its HTTP server, not the engine. Listening sockets are given to it.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "async/task.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace berth::engine {
class Engine;
}

namespace berth::api {

class Server final {
  public:
    /// `engine` must outlive the server and have been started.
    Server(async::Executor executor, engine::Engine& engine);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Serves the API on a listening socket (unix or tcp) from now on.
    void listen(UniqueFd listener);
    /// Stops accepting, lets running requests end until `deadline`, then cancels them. Streams that
    /// were handed to shims go on.
    async::Task<> stop(SteadyTime deadline);

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

/// For an engine that cannot start: tells whoever comes within `time` why, with status 503.
async::Task<> refuse_clients(async::Executor executor, std::vector<UniqueFd> listeners,
                             Error failure, std::chrono::milliseconds time);

}  // namespace berth::api
