// _ping, version, info, events, plugins.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/routes.h"
#include "base/json.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
async::Task<> ping(Call& call) {
    http::Response response;
    response.headers = common_headers();
    response.headers.add("Builder-Version", "1");
    response.headers.add("Cache-Control", "no-cache, no-store, must-revalidate");
    response.headers.add("Pragma", "no-cache");
    response.headers.add("Swarm", "inactive");
    response.headers.add("Content-Type", "text/plain; charset=utf-8");
    if (call.request().method != "HEAD") response.body = "OK";
    co_await call.exchange.reply(std::move(response));
}

async::Task<> version(Call& call) {
    co_await reply_json(call, 200, call.engine.system().version());
}

async::Task<> info(Call& call) {
    auto facts = call.engine.system().info();
    // Clients of these versions warn where it is not true; nothing of our networks depends on it.
    if (call.version < ApiVersion{1, 50})
        facts["BridgeNfIptables"] = facts["BridgeNfIp6tables"] = true;
    // Clients of older versions complain when a commit is not the expected one.
    if (call.version < ApiVersion{1, 49})
        for (const char* part : {"ContainerdCommit", "RuncCommit", "InitCommit"})
            if (facts.contains(part)) facts[part]["Expected"] = facts[part]["ID"];
    co_await reply_json(call, 200, facts);
}

async::Task<> send_events(Call& call, std::unique_ptr<engine::EventStream> events) {
    co_await call.exchange.stream(200, json_headers());
    for (;;) {
        const auto event = co_await events->next();
        if (!event) break;
        co_await call.exchange.write(dump_json(event->to_json()) + "\n");
    }
    co_await call.exchange.finish();
}

async::Task<> events(Call& call) {
    engine::EventsRequest request;
    request.since = call.query().get("since");
    request.until = call.query().get("until");
    request.filters = engine::Filters::parse(call.query().get("filters"));
    auto stream = call.engine.events().subscribe(request);
    co_await call.exchange.cancel_on_disconnect(send_events(call, std::move(stream)));
}

async::Task<> plugins(Call& call) { co_await reply_json(call, 200, nlohmann::json::array()); }
}  // namespace

void add_system_routes(Router& router) {
    router.add("GET", "/_ping", ping);
    router.add("HEAD", "/_ping", ping);
    router.add("GET", "/version", version);
    router.add("GET", "/info", info);
    router.add("GET", "/events", events);
    router.add("GET", "/plugins", plugins);
}

}  // namespace berth::api
