// Networks: list, inspect, create, remove, prune, connect, disconnect.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/parameters.h"
#include "api/routes.h"
#include "base/error.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
async::Task<> list(Call& call) {
    const auto filters = engine::Filters::parse(call.query().get("filters"));
    co_await reply_json(call, 200, call.engine.networks().list(filters));
}

async::Task<> inspect(Call& call) {
    strict_boolean(call.query(), "verbose");  // of services, which only a swarm has
    // All of ours are local: one of the swarm by that name would be another.
    const std::string scope = call.query().get("scope");
    if (!scope.empty() && scope != "local")
        throw Error(ErrorKind::not_found, "network {} not found", call.name);
    co_await reply_json(call, 200, call.engine.networks().inspect(call.name));
}

async::Task<> create(Call& call) {
    const auto body = co_await read_json(call, BodyRule::required);
    const auto created = co_await call.engine.networks().create(body);
    co_await reply_json(call, 201, created);
}

async::Task<> remove(Call& call) {
    co_await call.engine.networks().remove(call.name);
    co_await reply_empty(call, 204);
}

async::Task<> prune(Call& call) {
    auto filters = engine::Filters::parse(call.query().get("filters"));
    const auto pruned = co_await call.engine.networks().prune(std::move(filters));
    co_await reply_json(call, 200, pruned);
}

async::Task<> connect(Call& call) {
    const auto body = co_await read_json(call, BodyRule::required);
    co_await call.engine.containers().connect(call.name, body);
    co_await reply_empty(call, 200);
}

async::Task<> disconnect(Call& call) {
    const auto body = co_await read_json(call, BodyRule::required);
    co_await call.engine.containers().disconnect(call.name, body);
    co_await reply_empty(call, 200);
}
}  // namespace

void add_network_routes(Router& router) {
    router.add("GET", "/networks", list);
    router.add("GET", "/networks/{name}", inspect);
    router.add("POST", "/networks/create", create);
    router.add("POST", "/networks/prune", prune);
    router.add("DELETE", "/networks/{name}", remove);
    router.add("POST", "/networks/{name}/connect", connect);
    router.add("POST", "/networks/{name}/disconnect", disconnect);
}

}  // namespace berth::api
