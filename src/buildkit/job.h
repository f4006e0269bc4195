// One run of the Dockerfile frontend: fetches the client's files, lets the engine build, tells the
// progress. It runs as a task of its own: a call that waits for it may go, and then stops it.
#pragma once

#include <exception>
#include <memory>
#include <stop_token>
#include <string>

#include "async/sync.h"
#include "buildkit/frontend_options.h"
#include "buildkit/progress.h"
#include "buildkit/session.h"
#include "engine/engine.h"

namespace berth::buildkit {

struct Job final {
    Job(engine::Engine& served, async::TaskGroup& group, std::shared_ptr<Session> client,
        std::shared_ptr<Progress> shown, FrontendOptions what)
        : engine(served),
          tasks(group),
          session(std::move(client)),
          progress(std::move(shown)),
          options(std::move(what)) {}

    engine::Engine& engine;
    async::TaskGroup& tasks;
    const std::shared_ptr<Session> session;  // null: the client has none
    const std::shared_ptr<Progress> progress;
    FrontendOptions options;
    UniqueFd archive;  // the context, where it came with the request

    std::stop_source stop;
    async::Event done;
    std::exception_ptr failure;
    std::string image;  // the id of what was built
    Attributes answer;  // to options.subrequest
};

/// The id of the built image, or `answer` is there. A cancelled caller stops the build. Throws
/// Error with BuildKit's texts.
async::Task<std::string> run_job(std::shared_ptr<Job> job);

}  // namespace berth::buildkit
