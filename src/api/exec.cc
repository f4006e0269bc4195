// Further processes in containers: create, start, inspect, resize.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/hijack.h"
#include "api/parameters.h"
#include "api/routes.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
async::Task<> create(Call& call) {
    const auto body = co_await read_json(call, BodyRule::required);
    auto config = engine::ExecConfig::from_json(body);
    const std::string id = co_await call.engine.execs().create(call.name, std::move(config));
    const nlohmann::json reply{{"Id", id}};
    co_await reply_json(call, 201, reply);
}

async::Task<> start(Call& call) {
    const auto body = co_await read_json(call, BodyRule::optional);
    auto request = engine::ExecStart::from_json(body);
    const bool detached = request.detach;
    const auto kind = co_await call.engine.execs().begin(call.name, std::move(request));
    if (detached) {
        co_await call.engine.execs().start_detached(call.name);
        co_await reply_empty(call, 200);
        co_return;
    }
    const auto type = stream_content_type(call.version, framing_of(kind));
    http::Hijacked client = co_await hijack(call, type, common_headers());
    call.streams.spawn("exec " + call.name.substr(0, 12),
                       call.engine.execs().start_attached(call.name, std::move(client.socket),
                                                          std::move(client.early)));
}

async::Task<> inspect(Call& call) {
    co_await reply_json(call, 200, call.engine.execs().inspect(call.name));
}

async::Task<> resize(Call& call) {
    const auto height = terminal_size(call.query(), "h");
    const auto width = terminal_size(call.query(), "w");
    co_await call.engine.execs().resize(call.name, height, width);
    co_await reply_empty(call, 200);
}
}  // namespace

void add_exec_routes(Router& router) {
    router.add("POST", "/containers/{name}/exec", create);
    router.add("POST", "/exec/{name}/start", start);
    router.add("GET", "/exec/{name}/json", inspect);
    router.add("POST", "/exec/{name}/resize", resize);
}

}  // namespace berth::api
