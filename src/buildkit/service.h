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
#include "buildkit/history.h"
#include "buildkit/messages.h"
#include "buildkit/progress.h"
#include "buildkit/session.h"
#include "engine/build/build.h"
#include "grpc/connection.h"

namespace berth::engine {
class Engine;
}

namespace berth::buildkit {

/// One build. Of Control.Solve: the client names it, asks the bridge for results under that name,
/// and says at last which of them it wants. POST /build names a frontend instead.
struct Build final {
    SolveRequest request;
    std::string id;                      // of POST /build: what POST /build/cancel names
    UniqueFd archive;                    // the context, where it came with the request
    engine::RegistryAuth registry_auth;  // of a client without a session; may be empty
    const Timestamp created = Timestamp::now();
    const std::shared_ptr<Progress> progress = std::make_shared<Progress>();
    std::map<std::string, std::string> results;  // image ids by reference
    ReturnedResult returned;
    async::Event ended;  // the client's part: `returned` is there
    Attributes response;
    async::Event kept;           // its record
    async::CancelSource cancel;  // of POST /build
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
    History& history() { return history_; }
    /// A build from beginning to end: its `response` is there. Throws Error, {conflict} when its
    /// ref is taken.
    async::Task<> solve(std::shared_ptr<Build> build);
    /// Stops the build of that id, if there is one.
    void cancel(const std::string& id);

    /// A context that comes in another request than its build, which takes it. Both wait a little
    /// for one another. Throw Error{invalid} then.
    async::Task<> offer_upload(std::string build, UniqueFd archive);
    async::Task<UniqueFd> take_upload(std::string build);

  private:
    async::Task<> answer(grpc::Call call);
    void add_build(const std::shared_ptr<Build>& build);
    /// The build is over; a client that is late can still ask for its progress.
    void retire(const std::string& ref);
    async::Task<> keep_record(BuildRecord record, std::shared_ptr<Build> build);

    const async::Executor executor_;
    engine::Engine& engine_;
    async::TaskGroup& tasks_;
    std::map<std::string, std::shared_ptr<Session>> sessions_;
    std::map<std::string, std::shared_ptr<Build>> builds_;
    std::deque<std::string> retired_;
    std::map<std::string, UniqueFd> uploads_;
    async::Condition changed_;
    async::WorkerPool file_work_{1};
    History history_;
};

}  // namespace berth::buildkit
