// What a container uses, and its processes.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/parameters.h"
#include "api/routes.h"
#include "base/json.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
async::Task<> send_stats(Call& call, std::unique_ptr<engine::StatsStream> stats) {
    co_await call.exchange.stream(200, json_headers());
    for (;;) {
        const auto sample = co_await stats->next();
        if (!sample) break;
        co_await call.exchange.write(dump_json(*sample) + "\n");
    }
    co_await call.exchange.finish();
}

engine::StatsMode stats_mode(const http::Query& query) {
    const bool stream = boolean(query, "stream", true);
    const bool one_shot = boolean(query, "one-shot");
    if (stream && one_shot)
        throw Error(ErrorKind::invalid, "cannot have stream=true and one-shot=true");
    if (stream) return engine::StatsMode::stream;
    return one_shot ? engine::StatsMode::one_at_once : engine::StatsMode::one_with_rate;
}

async::Task<> stats(Call& call) {
    auto samples = call.engine.containers().stats(call.name, stats_mode(call.query()));
    co_await call.exchange.cancel_on_disconnect(send_stats(call, std::move(samples)));
}

async::Task<> top(Call& call) {
    std::string arguments = call.query().get("ps_args");
    if (arguments.empty()) arguments = "-ef";
    const auto processes = co_await call.engine.containers().top(call.name, std::move(arguments));
    co_await reply_json(call, 200, processes);
}
}  // namespace

void add_container_usage_routes(Router& router) {
    router.add("GET", "/containers/{name}/stats", stats);
    router.add("GET", "/containers/{name}/top", top);
}

}  // namespace berth::api
