// POST /build, the classic builder. Its stream is for people, and programs match it all the same:
// the texts are dockerd's to the letter.
#include <nlohmann/json.hpp>

#include "api/build_log.h"
#include "api/call.h"
#include "api/parameters.h"
#include "api/progress.h"
#include "api/routes.h"
#include "base/json.h"
#include "engine/build/registry_config.h"
#include "engine/engine.h"

namespace berth::api {

namespace {

using engine::BuildRequest;

nlohmann::json json_parameter(const http::Query& query, std::string_view key) {
    const std::string text = query.get(key);
    if (text.empty()) return nullptr;
    try {
        return parse_json(text);
    } catch (Error& error) {
        throw error.while_("the parameter {}", key);
    }
}

std::vector<std::string> list_parameter(const http::Query& query, std::string_view key) {
    const nlohmann::json value{{std::string(key), json_parameter(query, key)}};
    return JsonReader(value).strings(key);
}

void read_arguments(const http::Query& query, BuildRequest& request) {
    const nlohmann::json arguments = json_parameter(query, "buildargs");
    if (arguments.is_null()) return;
    const JsonReader reader(arguments, "buildargs");
    for (const auto& [name, value] : arguments.items()) {
        if (value.is_null())
            request.arguments[name] = std::nullopt;
        else
            request.arguments[name] = reader.string(name);
    }
}

void read_ulimits(const http::Query& query, engine::model::HostConfig& host) {
    const nlohmann::json value{{"ulimits", json_parameter(query, "ulimits")}};
    for (const JsonReader& limit : JsonReader(value).objects("ulimits"))
        host.ulimits.push_back(
            {limit.string("Name"), limit.integer("Soft"), limit.integer("Hard")});
}

engine::model::HostConfig host_config(const http::Query& query) {
    engine::model::HostConfig host = engine::model::host_config_from(nlohmann::json::object());
    engine::model::Resources& limits = host.resources;
    limits.memory = integer(query, "memory").value_or(0);
    limits.memory_swap = integer(query, "memswap").value_or(0);
    limits.cpu_shares = integer(query, "cpushares").value_or(0);
    limits.cpu_period = integer(query, "cpuperiod").value_or(0);
    limits.cpu_quota = integer(query, "cpuquota").value_or(0);
    limits.cpuset_cpus = query.get("cpusetcpus");
    limits.cpuset_mems = query.get("cpusetmems");
    limits.cgroup_parent = query.get("cgroupparent");
    host.shm_size = integer(query, "shmsize").value_or(0);
    host.network_mode = query.get("networkmode");
    host.extra_hosts = query.all("extrahosts");
    host.security_opt = list_parameter(query, "securityopt");
    read_ulimits(query, host);
    return host;
}

BuildRequest build_request(const Call& call) {
    const http::Query& query = call.query();
    if (query.get("version") == "2")
        throw Error(ErrorKind::unsupported, "BuildKit is not served at POST /build");
    if (boolean(query, "squash"))
        throw Error(ErrorKind::invalid, "squash is only supported with experimental mode");
    BuildRequest request;
    request.target = query.get("target");
    read_arguments(query, request);
    const nlohmann::json labels{{"labels", json_parameter(query, "labels")}};
    request.labels = JsonReader(labels).string_map("labels");
    for (const std::string& tag : query.all("t"))
        if (!tag.empty()) request.tags.push_back(tag);
    request.cache_from = list_parameter(query, "cachefrom");
    request.platform = query.get("platform");
    request.no_cache = boolean(query, "nocache");
    request.pull = boolean(query, "pull");
    request.remove_on_error = boolean(query, "forcerm");
    const std::string remove = query.get("rm");
    request.remove = request.remove_on_error || remove.empty() || is_true(remove);
    request.host = host_config(query);
    request.registry_auth =
        engine::registry_auth_of(call.request().headers.get("X-Registry-Config"));
    return request;
}

/// What a build needs besides the body.
struct BuildCall final {
    engine::Builder& builder;
    BuildRequest request;
    std::string dockerfile;
    std::string remote;
    BuildWords words = BuildWords::all;
};

async::Task<> run_build(BuildCall& call, UniqueFd body, engine::ProgressSink sink,
                        std::stop_token stop) {
    std::shared_ptr<const engine::BuildContext> context;
    if (call.remote.empty())
        context = co_await call.builder.unpack_context(std::move(body), call.dockerfile, stop);
    else
        context = co_await call.builder.fetch_context(call.remote, call.dockerfile, stop);
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

void add_build_routes(Router& router) { router.add("POST", "/build", build); }

}  // namespace berth::api
