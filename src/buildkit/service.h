// BuildKit's API over the engine: connections of POST /grpc (we serve Control and LLBBridge) and of
// POST /session (the client serves), and the builds under way. What a client builds is a
// Dockerfile, by the engine's builder; ready-made steps (LLB) are refused. Engine thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "async/sync.h"
#include "async/worker_pool.h"
#include "buildkit/messages.h"
#include "buildkit/progress.h"
#include "buildkit/session.h"
#include "grpc/connection.h"

namespace berth::engine {
class Engine;
}

namespace berth::buildkit {

/// One Control.Solve: the client names it, asks the bridge for results under that name, and says
/// at last which of them it wants.
struct Build final {
    SolveRequest request;
    const std::shared_ptr<Progress> progress = std::make_shared<Progress>();
    std::map<std::string, std::string> results;  // image ids by reference
    ReturnedResult returned;
    async::Event ended;  // the client's part: `returned` is there
};

class Service final {
  public:
    Service(async::Executor executor, engine::Engine& engine, async::TaskGroup& tasks);
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    /// Serves a connection of POST /grpc to its end.
    async::Task<> serve(UniqueFd socket, std::string early);
    /// The same of POST /session.
    async::Task<> serve_session(UniqueFd socket, std::string early, SessionHead head);

    engine::Engine& engine() { return engine_; }
    async::TaskGroup& tasks() { return tasks_; }
    /// For reading files; its one thread begins with the first job.
    async::WorkerPool& file_work() { return file_work_; }

    /// Waits a little, since calls of a client come on several connections. Throws
    /// Error{not_found}.
    async::Task<std::shared_ptr<Session>> find_session(std::string id);
    async::Task<std::shared_ptr<Build>> find_build(std::string ref);
    /// Throws Error{conflict} when the name is taken.
    void add_build(const std::shared_ptr<Build>& build);
    /// The build is over; a client that is late can still ask for its progress.
    void retire(const std::string& ref);

  private:
    async::Task<> answer(grpc::Call call);

    const async::Executor executor_;
    engine::Engine& engine_;
    async::TaskGroup& tasks_;
    std::map<std::string, std::shared_ptr<Session>> sessions_;
    std::map<std::string, std::shared_ptr<Build>> builds_;
    std::deque<std::string> retired_;
    async::Condition changed_;
    async::WorkerPool file_work_{1};
};

}  // namespace berth::buildkit
