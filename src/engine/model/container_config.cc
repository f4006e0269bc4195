#include "engine/model/container_config.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace berth::engine::model {

using nlohmann::json;

namespace {

JsonReader reader(const json& value, const std::string& path) {
    static const json kEmpty = json::object();
    return JsonReader(value.is_null() ? kEmpty : value, path, KeyCase::any);
}

/// The keys of an object used as a set: {"80/tcp":{}}.
std::set<std::string> key_set(const JsonReader& from, std::string_view key) {
    std::set<std::string> keys;
    if (!from.has(key)) return keys;
    const JsonReader object = from.object(key);
    for (const auto& [name, ignored] : object.value().items()) {
        object.object(name);  // {} or null
        keys.insert(name);
    }
    return keys;
}

std::optional<std::vector<std::string>> optional_strings(const JsonReader& from,
                                                         std::string_view key) {
    if (!from.has(key)) return std::nullopt;
    return from.string_or_strings(key);
}

std::optional<Healthcheck> healthcheck_from(const JsonReader& from) {
    if (!from.has("Healthcheck")) return std::nullopt;
    const JsonReader h = from.object("Healthcheck");
    return Healthcheck{.test = h.strings("Test"),
                       .interval_ns = h.integer("Interval"),
                       .timeout_ns = h.integer("Timeout"),
                       .start_period_ns = h.integer("StartPeriod"),
                       .start_interval_ns = h.integer("StartInterval"),
                       .retries = h.integer("Retries")};
}

json set_json(const std::set<std::string>& keys) {
    json object = json::object();
    for (const std::string& key : keys) object[key] = json::object();
    return object;
}

json healthcheck_json(const Healthcheck& check) {
    json value = json::object();
    if (!check.test.empty()) value["Test"] = check.test;
    if (check.interval_ns != 0) value["Interval"] = check.interval_ns;
    if (check.timeout_ns != 0) value["Timeout"] = check.timeout_ns;
    if (check.start_period_ns != 0) value["StartPeriod"] = check.start_period_ns;
    if (check.start_interval_ns != 0) value["StartInterval"] = check.start_interval_ns;
    if (check.retries != 0) value["Retries"] = check.retries;
    return value;
}

}  // namespace

ContainerConfig container_config_from(const json& value) {
    const JsonReader r = reader(value, "");
    ContainerConfig c;
    c.hostname = r.string("Hostname");
    c.domainname = r.string("Domainname");
    c.user = r.string("User");
    c.attach_stdin = r.boolean("AttachStdin", false);
    c.attach_stdout = r.boolean("AttachStdout", false);
    c.attach_stderr = r.boolean("AttachStderr", false);
    c.tty = r.boolean("Tty", false);
    c.open_stdin = r.boolean("OpenStdin", false);
    c.stdin_once = r.boolean("StdinOnce", false);
    c.exposed_ports = key_set(r, "ExposedPorts");
    c.env = r.strings("Env");
    c.cmd = optional_strings(r, "Cmd");
    c.entrypoint = optional_strings(r, "Entrypoint");
    c.healthcheck = healthcheck_from(r);
    c.image = r.string("Image");
    c.volumes = key_set(r, "Volumes");
    c.working_dir = r.string("WorkingDir");
    c.network_disabled = r.boolean("NetworkDisabled", false);
    c.mac_address = r.string("MacAddress");
    c.on_build = r.strings("OnBuild");
    c.labels = r.string_map("Labels");
    c.stop_signal = r.string("StopSignal");
    c.stop_timeout_s = r.optional_integer("StopTimeout");
    c.shell = r.string_or_strings("Shell");
    c.args_escaped = r.boolean("ArgsEscaped", false);
    return c;
}

json to_json(const ContainerConfig& c) {
    json value = {{"Hostname", c.hostname},
                  {"Domainname", c.domainname},
                  {"User", c.user},
                  {"AttachStdin", c.attach_stdin},
                  {"AttachStdout", c.attach_stdout},
                  {"AttachStderr", c.attach_stderr},
                  {"Tty", c.tty},
                  {"OpenStdin", c.open_stdin},
                  {"StdinOnce", c.stdin_once},
                  {"Env", c.env},
                  {"Image", c.image},
                  {"WorkingDir", c.working_dir},
                  {"Labels", c.labels}};
    value["Cmd"] = c.cmd ? json(*c.cmd) : json();
    value["Entrypoint"] = c.entrypoint ? json(*c.entrypoint) : json();
    value["OnBuild"] = c.on_build.empty() ? json() : json(c.on_build);
    value["Volumes"] = c.volumes.empty() ? json() : set_json(c.volumes);
    if (!c.exposed_ports.empty()) value["ExposedPorts"] = set_json(c.exposed_ports);
    if (c.healthcheck) value["Healthcheck"] = healthcheck_json(*c.healthcheck);
    if (c.network_disabled) value["NetworkDisabled"] = true;
    if (!c.mac_address.empty()) value["MacAddress"] = c.mac_address;
    if (!c.stop_signal.empty()) value["StopSignal"] = c.stop_signal;
    if (c.stop_timeout_s) value["StopTimeout"] = *c.stop_timeout_s;
    if (!c.shell.empty()) value["Shell"] = c.shell;
    return value;
}

static EndpointConfig read_endpoint(const json& value, const std::string& path) {
    const JsonReader r = reader(value, path);
    EndpointConfig e;
    const JsonReader ipam = r.object("IPAMConfig");
    e.ipv4_address = ipam.string("IPv4Address");
    e.ipv6_address = ipam.string("IPv6Address");
    e.link_local_ips = ipam.strings("LinkLocalIPs");
    e.aliases = r.strings("Aliases");
    e.links = r.strings("Links");
    e.mac_address = r.string("MacAddress");
    e.driver_options = r.string_map("DriverOpts");
    e.gateway_priority = r.integer("GwPriority");
    return e;
}

EndpointConfig endpoint_config_from(const json& value) {
    return read_endpoint(value, "EndpointConfig");
}

json to_json(const EndpointConfig& e) {
    json ipam;
    if (!e.ipv4_address.empty() || !e.ipv6_address.empty() || !e.link_local_ips.empty()) {
        ipam = json::object();
        if (!e.ipv4_address.empty()) ipam["IPv4Address"] = e.ipv4_address;
        if (!e.ipv6_address.empty()) ipam["IPv6Address"] = e.ipv6_address;
        if (!e.link_local_ips.empty()) ipam["LinkLocalIPs"] = e.link_local_ips;
    }
    return {{"IPAMConfig", std::move(ipam)},
            {"Links", e.links.empty() ? json() : json(e.links)},
            {"Aliases", e.aliases.empty() ? json() : json(e.aliases)},
            {"MacAddress", e.mac_address},
            {"DriverOpts", e.driver_options.empty() ? json() : json(e.driver_options)},
            {"GwPriority", e.gateway_priority}};
}

NetworkingConfig networking_config_from(const json& value) {
    const JsonReader r = reader(value, "NetworkingConfig");
    NetworkingConfig networking;
    if (!r.has("EndpointsConfig")) return networking;
    const json& endpoints = r.object("EndpointsConfig").value();
    for (const auto& [name, endpoint] : endpoints.items())
        networking.endpoints.emplace(name, read_endpoint(endpoint, "EndpointsConfig"));
    return networking;
}

CreateRequest CreateRequest::from_json(const json& body) {
    const JsonReader r(body, "", KeyCase::any);
    CreateRequest request;
    request.config = container_config_from(body);
    const json* host = r.find("HostConfig");
    request.host_config = host_config_from(host ? *host : json::object());
    const json* networking = r.find("NetworkingConfig");
    if (networking) request.networking = networking_config_from(*networking);
    return request;
}

}  // namespace berth::engine::model
