// Registries: push, login, search, distribution.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/parameters.h"
#include "api/progress.h"
#include "api/routes.h"
#include "base/base64.h"
#include "base/json.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
constexpr std::int64_t kDefaultFound = 25;

std::string registry_auth(const Call& call) {
    return call.request().headers.get("X-Registry-Auth");
}

async::Task<> push(Call& call) {
    engine::PushRequest request;
    request.name = call.name;
    request.tag = call.query().get("tag");
    request.platform = platform(call.query());
    request.registry_auth = registry_auth(call);
    // Clients of long ago sent the credentials as the body.
    const auto body = co_await read_json(call, BodyRule::optional);
    if (call.request().headers.find("X-Registry-Auth") == nullptr && !body.empty())
        request.registry_auth = encode_base64(dump_json(body));
    ProgressWork work = [&call, &request](engine::ProgressSink sink, std::stop_token stop) {
        return call.engine.images().push(std::move(request), std::move(sink), std::move(stop));
    };
    co_await reply_with_progress(call, std::move(work));
}

async::Task<> login(Call& call) {
    const auto body = co_await read_json(call, BodyRule::required);
    const JsonReader reader(body, "AuthConfig", KeyCase::any);
    engine::RegistryLogin login;
    login.username = reader.string("username");
    login.password = reader.string("password");
    login.identity_token = reader.string("identitytoken");
    login.server_address = reader.string("serveraddress");
    const auto answer = co_await call.engine.images().login(std::move(login), std::stop_token());
    co_await reply_json(call, 200, answer);
}

async::Task<> search(Call& call) {
    engine::SearchRequest request;
    request.term = call.query().get("term");
    request.limit = integer(call.query(), "limit").value_or(0);
    if (request.limit == 0) request.limit = kDefaultFound;
    request.filters = engine::Filters::parse(call.query().get("filters"));
    request.registry_auth = registry_auth(call);
    const auto found = co_await call.engine.images().search(std::move(request), std::stop_token());
    co_await reply_json(call, 200, found);
}

async::Task<> distribution(Call& call) {
    std::string name = call.name;
    std::string credentials = registry_auth(call);
    const auto answer = co_await call.engine.images().distribution(
        std::move(name), std::move(credentials), std::stop_token());
    co_await reply_json(call, 200, answer);
}
}  // namespace

void add_registry_routes(Router& router) {
    router.add("POST", "/auth", login);
    router.add("GET", "/images/search", search);
    router.add("POST", "/images/{name...}/push", push);
    router.add("GET", "/distribution/{name...}/json", distribution);
}

}  // namespace berth::api
