// Containers: everything that is one request and one reply. Streams are in container_streams.cc.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/own_socket.h"
#include "api/parameters.h"
#include "api/routes.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
// One network a container was the limit of older API versions.
void check_endpoints(const engine::model::NetworkingConfig& networking, ApiVersion version) {
    if (networking.endpoints.size() < 2 || version >= ApiVersion{1, 44}) return;
    std::string names;
    for (const auto& [name, endpoint] : networking.endpoints)
        names += (names.empty() ? "" : ", ") + name;
    throw Error(ErrorKind::invalid, "Container cannot be connected to network endpoints: {}",
                names);
}

// Up to 1.44 DNSNames is not there yet, and compose 1 looks for the short id among the aliases.
void add_alias_of_id(nlohmann::json& container) {
    for (auto& [name, endpoint] : container["NetworkSettings"]["Networks"].items()) {
        if (name == "bridge" || name == "host" || name == "none") continue;
        nlohmann::json& aliases = endpoint["Aliases"];
        if (aliases.is_null()) aliases = nlohmann::json::array();
        const std::string id = container["Id"].get<std::string>().substr(0, 12);
        if (std::find(aliases.begin(), aliases.end(), id) == aliases.end()) aliases.push_back(id);
    }
}

async::Task<> create(Call& call) {
    const auto body = co_await read_json(call, BodyRule::required);
    auto request = engine::model::CreateRequest::from_json(body);
    check_endpoints(request.networking, call.version);
    bind_own_socket(request.host_config, call.exchange.socket_path());
    engine::CreateOptions options;
    options.name = call.query().get("name");
    options.platform = call.query().get("platform");
    const auto created =
        co_await call.engine.containers().create(std::move(request), std::move(options));
    const nlohmann::json reply{{"Id", created.id}, {"Warnings", created.warnings}};
    co_await reply_json(call, 201, reply);
}

async::Task<> list(Call& call) {
    engine::ListRequest request;
    const auto& query = call.query();
    if (boolean(query, "all")) request.scope = engine::ListScope::all;
    if (boolean(query, "size")) request.size = engine::WithSize::yes;
    request.limit = small_integer(query, "limit").value_or(0);
    request.filters = engine::Filters::parse(query.get("filters"));
    const auto containers = co_await call.engine.containers().list(std::move(request));
    co_await reply_json(call, 200, containers);
}

async::Task<> inspect(Call& call) {
    const auto size = boolean(call.query(), "size") ? engine::WithSize::yes : engine::WithSize::no;
    auto container = co_await call.engine.containers().inspect(call.name, size);
    if (call.version < ApiVersion{1, 45}) add_alias_of_id(container);
    co_await reply_json(call, 200, container);
}

engine::StopOptions stop_options(const Call& call) {
    engine::StopOptions options;
    if (call.version >= ApiVersion{1, 42}) {
        auto signal = call.query().get("signal");
        if (!signal.empty()) options.signal = std::move(signal);
    }
    if (const auto timeout = small_integer(call.query(), "t")) options.timeout_s = *timeout;
    return options;
}

// Before 1.24 a HostConfig could come here: who still sends one must not believe that it holds.
async::Task<> start(Call& call) {
    constexpr std::uint64_t kNoHostConfig = 7;
    if (call.exchange.has_body() &&
        call.exchange.content_length().value_or(UINT64_MAX) > kNoHostConfig)
        throw Error(ErrorKind::invalid,
                    "starting container with non-empty request body was deprecated since API v1.22 "
                    "and removed in v1.24");
    co_await call.engine.containers().start(call.name, call.query().get("detachKeys"));
    co_await reply_empty(call, 204);
}

async::Task<> stop(Call& call) {
    co_await call.engine.containers().stop(call.name, stop_options(call));
    co_await reply_empty(call, 204);
}

async::Task<> restart(Call& call) {
    co_await call.engine.containers().restart(call.name, stop_options(call));
    co_await reply_empty(call, 204);
}

async::Task<> kill(Call& call) {
    co_await call.engine.containers().kill(call.name, call.query().get("signal"));
    co_await reply_empty(call, 204);
}

async::Task<> pause(Call& call) {
    co_await call.engine.containers().pause(call.name);
    co_await reply_empty(call, 204);
}

async::Task<> unpause(Call& call) {
    co_await call.engine.containers().unpause(call.name);
    co_await reply_empty(call, 204);
}

async::Task<> update(Call& call) {
    const auto body = co_await read_json(call, BodyRule::required);
    auto request = engine::model::UpdateRequest::from_json(body);
    const auto warnings = co_await call.engine.containers().update(call.name, std::move(request));
    const nlohmann::json reply{{"Warnings", warnings}};
    co_await reply_json(call, 200, reply);
}

async::Task<> remove(Call& call) {
    engine::RemoveOptions options;
    options.force = boolean(call.query(), "force");
    options.volumes = boolean(call.query(), "v");
    options.link = boolean(call.query(), "link");
    co_await call.engine.containers().remove(call.name, options);
    co_await reply_empty(call, 204);
}

async::Task<> rename(Call& call) {
    co_await call.engine.containers().rename(call.name, call.query().get("name"));
    co_await reply_empty(call, 204);
}

async::Task<> resize(Call& call) {
    const auto height = terminal_size(call.query(), "h");
    const auto width = terminal_size(call.query(), "w");
    co_await call.engine.containers().resize(call.name, height, width);
    co_await reply_empty(call, 200);
}
}  // namespace

void add_container_routes(Router& router) {
    router.add("POST", "/containers/create", create);
    router.add("GET", "/containers/json", list);
    router.add("GET", "/containers/{name}/json", inspect);
    router.add("POST", "/containers/{name}/start", start);
    router.add("POST", "/containers/{name}/stop", stop);
    router.add("POST", "/containers/{name}/restart", restart);
    router.add("POST", "/containers/{name}/kill", kill);
    router.add("POST", "/containers/{name}/pause", pause);
    router.add("POST", "/containers/{name}/unpause", unpause);
    router.add("POST", "/containers/{name}/update", update);
    router.add("POST", "/containers/{name}/rename", rename);
    router.add("POST", "/containers/{name}/resize", resize);
    router.add("DELETE", "/containers/{name}", remove);
}

}  // namespace berth::api
