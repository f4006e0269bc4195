#include "api/build_request.h"

#include <nlohmann/json.hpp>

#include "api/parameters.h"
#include "base/json.h"
#include "engine/build/registry_config.h"

namespace berth::api {

namespace {
using engine::BuildRequest;

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
}  // namespace

engine::BuildRequest build_request(const Call& call) {
    const http::Query& query = call.query();
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

}  // namespace berth::api
