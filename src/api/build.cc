// POST /build by the classic builder. Its stream is for people, and programs match it all the same:
// the texts are dockerd's to the letter.
#include <nlohmann/json.hpp>

#include "api/build_log.h"
#include "api/build_request.h"
#include "api/call.h"
#include "api/parameters.h"
#include "api/progress.h"
#include "api/routes.h"
#include "engine/engine.h"

namespace berth::api {

namespace {

/// What a build needs besides the body.
struct BuildCall final {
    engine::Builder& builder;
    engine::BuildRequest request;
    std::string dockerfile;
    std::string remote;
    BuildWords words = BuildWords::all;
};

engine::RemoteContext remote_context(const BuildCall& call) {
    engine::RemoteContext remote;
    remote.url = call.remote;
    remote.dockerfile = call.dockerfile;
    return remote;
}

async::Task<> run_build(BuildCall& call, UniqueFd body, engine::ProgressSink sink,
                        std::stop_token stop) {
    std::shared_ptr<const engine::BuildContext> context;
    if (call.remote.empty())
        context = co_await call.builder.unpack_context(std::move(body), call.dockerfile, stop);
    else
        context = co_await call.builder.fetch_context(remote_context(call), stop);
    ClassicBuildLog log(std::move(sink), call.words);
    std::optional<Error> failure;
    try {
        const engine::BuildResult result =
            co_await call.builder.build(std::move(call.request), std::move(context), log, stop);
        log.end(result);
    } catch (...) {
        failure = async::to_error(std::current_exception());
    }
    if (!failure) co_return;
    // Nothing was said yet: the error is the reply itself, with a status of its own.
    if (!log.has_begun() || failure->kind() == ErrorKind::cancelled) throw *failure;
    log.fail(*failure);
}

async::Task<> build(Call& call) {
    if (call.query().get("version") == "2") {
        co_await build_with_buildkit(call);
        co_return;
    }
    const std::string name = call.query().get("dockerfile");
    BuildCall work{.builder = call.engine.builder(),
                   .request = build_request(call),
                   .dockerfile = name.empty() ? "Dockerfile" : name,
                   .remote = call.query().get("remote")};
    if (boolean(call.query(), "q")) work.words = BuildWords::id_only;
    BodyWork with_body = [&work](UniqueFd body, engine::ProgressSink sink, std::stop_token stop) {
        return run_build(work, std::move(body), std::move(sink), std::move(stop));
    };
    co_await reply_with_progress_of_body(call, std::move(with_body));
}

}  // namespace

void add_build_routes(Router& router) {
    router.add("POST", "/build", build);
    router.add("POST", "/build/cancel", cancel_build);
}

}  // namespace berth::api
