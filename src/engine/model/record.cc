#include "engine/model/record.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "engine/model/merge.h"

namespace berth::engine::model {

using nlohmann::json;

namespace {

constexpr int kVersion = 1;
constexpr std::string_view kStatusNames[] = {"created",  "running", "paused", "restarting",
                                             "removing", "exited",  "dead"};

json state_json(const State& s) {
    json value = {{"status", to_string(s.status)},
                  {"pid", s.pid},
                  {"exit_code", s.exit_code},
                  {"error", s.error},
                  {"oom", s.oom_killed},
                  {"started_at", s.started_at.ns},
                  {"finished_at", s.finished_at.ns},
                  {"cgroup", s.cgroup}};
    if (s.paused_by_engine) value["paused_by_engine"] = true;
    if (s.health) value["health"] = to_json(*s.health);
    return value;
}

State state_from(const JsonReader& r) {
    State s;
    s.status = status_from(r.string("status"));
    s.pid = static_cast<int>(r.integer("pid"));
    s.exit_code = static_cast<int>(r.integer("exit_code"));
    s.error = r.string("error");
    s.oom_killed = r.boolean("oom", false);
    s.paused_by_engine = r.boolean("paused_by_engine", false);
    s.started_at.ns = r.integer("started_at");
    s.finished_at.ns = r.integer("finished_at");
    s.cgroup = r.string("cgroup");
    if (r.has("health")) s.health = health_from(r.object("health").value());
    return s;
}

json endpoint_json(const Endpoint& e) {
    return {{"config", to_json(e.config)},
            {"network_id", e.network_id},
            {"endpoint_id", e.endpoint_id},
            {"ip_address", e.ip_address},
            {"prefix", e.prefix},
            {"gateway", e.gateway},
            {"ipv6_address", e.ipv6_address},
            {"prefix_v6", e.prefix_v6},
            {"gateway_v6", e.gateway_v6},
            {"mac_address", e.mac_address},
            {"interface", e.interface}};
}

Endpoint endpoint_from(const JsonReader& r) {
    Endpoint e;
    if (const json* config = r.find("config")) e.config = endpoint_config_from(*config);
    e.network_id = r.string("network_id");
    e.endpoint_id = r.string("endpoint_id");
    e.ip_address = r.string("ip_address");
    e.prefix = static_cast<int>(r.integer("prefix"));
    e.gateway = r.string("gateway");
    e.ipv6_address = r.string("ipv6_address");
    e.prefix_v6 = static_cast<int>(r.integer("prefix_v6"));
    e.gateway_v6 = r.string("gateway_v6");
    e.mac_address = r.string("mac_address");
    e.interface = r.string("interface", e.ip_address.empty() ? "" : "eth0");
    return e;
}

}  // namespace

void forget_addresses(Endpoint& endpoint) {
    Endpoint kept;
    kept.config = std::move(endpoint.config);
    kept.network_id = std::move(endpoint.network_id);
    endpoint = std::move(kept);
}

std::string_view to_string(Status status) { return kStatusNames[static_cast<std::size_t>(status)]; }

Status status_from(std::string_view text) {
    for (std::size_t i = 0; i < std::size(kStatusNames); ++i)
        if (kStatusNames[i] == text) return static_cast<Status>(i);
    throw Error(ErrorKind::invalid, "invalid container status '{}'", text);
}

json ports_to_json(const PortMap& ports) {
    json value = json::object();
    for (const auto& [port, bindings] : ports) {
        json list = json::array();
        for (const PortBinding& b : bindings)
            list.push_back({{"HostIp", b.host_ip}, {"HostPort", b.host_port}});
        value[port] = bindings.empty() ? json() : std::move(list);
    }
    return value;
}

PortMap ports_from_json(const json& value) {
    PortMap ports;
    if (!value.is_object()) return ports;
    const JsonReader r(value, "ports");
    for (const auto& [port, ignored] : value.items()) {
        std::vector<PortBinding>& list = ports[port];
        for (const JsonReader& b : r.objects(port))
            list.push_back({b.string("HostIp"), b.string("HostPort")});
    }
    return ports;
}

json to_json(const ContainerRecord& r) {
    json value = {{"v", kVersion},
                  {"id", r.id},
                  {"name", r.name},
                  {"created", r.created.ns},
                  {"image_id", r.image_id},
                  {"top_layer", r.top_layer},
                  {"manifest", r.manifest},
                  {"platform", r.platform},
                  {"driver", r.driver},
                  {"config", to_json(r.config)},
                  {"host_config", to_json(r.host_config)},
                  {"bound_ports", ports_to_json(r.bound_ports)},
                  {"state", state_json(r.state)},
                  {"restart_count", r.restart_count},
                  {"manually_stopped", r.manually_stopped},
                  {"has_been_started", r.has_been_started}};
    json& mounts = value["mounts"] = json::array();
    for (const MountPoint& mount : r.mounts) mounts.push_back(to_record(mount));
    json& endpoints = value["endpoints"] = json::object();
    for (const auto& [network, endpoint] : r.endpoints)
        endpoints[network] = endpoint_json(endpoint);
    if (r.made_for == MadeFor::build_step) value["build_step"] = true;
    return value;
}

ContainerRecord record_from(const json& value) {
    const JsonReader r(value);
    if (r.integer("v") != kVersion)
        throw Error(ErrorKind::invalid, "container record of version {}: this engine reads {}",
                    r.integer("v"), kVersion);
    ContainerRecord record;
    record.id = r.string("id");
    if (r.boolean("build_step", false)) record.made_for = MadeFor::build_step;
    record.name = r.string("name");
    record.created.ns = r.integer("created");
    record.image_id = r.string("image_id");
    record.top_layer = r.string("top_layer");
    record.manifest = r.string("manifest");
    record.platform = r.string("platform");
    record.driver = r.string("driver");
    record.config = container_config_from(r.object("config").value());
    record.host_config = host_config_from(r.object("host_config").value());
    if (const json* ports = r.find("bound_ports")) record.bound_ports = ports_from_json(*ports);
    record.state = state_from(r.object("state"));
    record.restart_count = static_cast<int>(r.integer("restart_count"));
    record.manually_stopped = r.boolean("manually_stopped", false);
    record.has_been_started = r.boolean("has_been_started", false);
    for (const JsonReader& mount : r.objects("mounts"))
        record.mounts.push_back(mount_from_record(mount.value()));
    const JsonReader endpoints = r.object("endpoints");
    for (const auto& [network, ignored] : endpoints.value().items())
        record.endpoints.emplace(network, endpoint_from(endpoints.object(network)));
    return record;
}

std::string record_path(const ContainerRecord& record) {
    const std::vector<std::string> line = command_line(record.config);
    return line.empty() ? "" : line.front();
}

std::vector<std::string> top_layers_of(const ContainerRecord& record) {
    std::vector<std::string> tops{record.top_layer};
    for (const MountPoint& mount : record.mounts)
        if (!mount.top_layer.empty()) tops.push_back(mount.top_layer);
    return tops;
}

std::vector<std::string> record_arguments(const ContainerRecord& record) {
    std::vector<std::string> line = command_line(record.config);
    if (!line.empty()) line.erase(line.begin());
    return line;
}

}  // namespace berth::engine::model
