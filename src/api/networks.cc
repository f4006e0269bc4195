// Networks: list, inspect, create, remove, connect, disconnect, as far as the engine has them.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/routes.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
async::Task<> list(Call& call) {
    const auto filters = engine::Filters::parse(call.query().get("filters"));
    co_await reply_json(call, 200, call.engine.networks().list(filters));
}

async::Task<> inspect(Call& call) {
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

async::Task<> connect(Call& call) {
    const auto body = co_await read_json(call, BodyRule::required);
    co_await call.engine.networks().connect(call.name, body);
    co_await reply_empty(call, 200);
}

async::Task<> disconnect(Call& call) {
    const auto body = co_await read_json(call, BodyRule::required);
    co_await call.engine.networks().disconnect(call.name, body);
    co_await reply_empty(call, 200);
}
}  // namespace

void add_network_routes(Router& router) {
    router.add("GET", "/networks", list);
    router.add("GET", "/networks/{name}", inspect);
    router.add("POST", "/networks/create", create);
    router.add("DELETE", "/networks/{name}", remove);
    router.add("POST", "/networks/{name}/connect", connect);
    router.add("POST", "/networks/{name}/disconnect", disconnect);
}

}  // namespace berth::api
