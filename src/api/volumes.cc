// Volumes: list, inspect, create, remove.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/parameters.h"
#include "api/routes.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
async::Task<> list(Call& call) {
    const auto filters = engine::Filters::parse(call.query().get("filters"));
    co_await reply_json(call, 200, call.engine.volumes().list(filters));
}

async::Task<> inspect(Call& call) {
    co_await reply_json(call, 200, call.engine.volumes().inspect(call.name));
}

async::Task<> create(Call& call) {
    const auto body = co_await read_json(call, BodyRule::optional);
    auto request = engine::VolumeRequest::from_json(body);
    const auto volume = co_await call.engine.volumes().create(std::move(request));
    co_await reply_json(call, 201, volume);
}

async::Task<> remove(Call& call) {
    const auto force = boolean(call.query(), "force") ? engine::Force::yes : engine::Force::no;
    co_await call.engine.volumes().remove(call.name, force);
    co_await reply_empty(call, 204);
}
// Only a volume of a swarm can be changed; the text is dockerd's.
async::Task<> update(Call& call) {
    (void)call;
    throw Error(ErrorKind::unavailable,
                "volume update only valid for cluster volumes, but swarm is unavailable");
    co_return;
}
}  // namespace

void add_volume_routes(Router& router) {
    router.add("GET", "/volumes", list);
    router.add("GET", "/volumes/{name}", inspect);
    router.add("POST", "/volumes/create", create);
    router.add("DELETE", "/volumes/{name}", remove);
    router.add("PUT", "/volumes/{name}", update);
}

}  // namespace berth::api
