#include "engine/containers/inspect.h"

#include <nlohmann/json.hpp>

#include "engine/containers/log_setup.h"
#include "engine/image/state.h"
#include "engine/model/links.h"
#include "engine/model/merge.h"
#include "engine/model/network_config.h"
#include "engine/model/status_text.h"
#include "engine/network/endpoints.h"

namespace berth::engine {

using nlohmann::json;

namespace {

json state_json(const model::State& s) {
    using model::Status;
    json value = {{"Status", model::to_string(s.status)},
                  {"Running", s.is_running()},
                  {"Paused", s.status == Status::paused},
                  {"Restarting", s.status == Status::restarting},
                  {"OOMKilled", s.oom_killed},
                  {"Dead", s.status == Status::dead},
                  {"Pid", s.pid},
                  {"ExitCode", s.exit_code},
                  {"Error", s.error},
                  {"StartedAt", rfc3339(s.started_at)},
                  {"FinishedAt", rfc3339(s.finished_at)}};
    if (s.health) value["Health"] = model::to_json(*s.health);
    return value;
}

json endpoint_json(const model::ContainerRecord& record, const std::string& network,
                   const model::Endpoint& e) {
    json value = model::to_json(e.config);
    if (!e.mac_address.empty() || value["MacAddress"].get<std::string>().empty())
        value["MacAddress"] = e.mac_address;
    value["NetworkID"] = e.network_id;
    value["EndpointID"] = e.endpoint_id;
    value["Gateway"] = e.gateway;
    value["IPAddress"] = e.ip_address;
    value["IPPrefixLen"] = e.prefix;
    value["IPv6Gateway"] = e.gateway_v6;
    value["GlobalIPv6Address"] = e.ipv6_address;
    value["GlobalIPv6PrefixLen"] = e.prefix_v6;
    value["DNSNames"] = nullptr;
    if (!model::is_predefined_network(network) && !e.endpoint_id.empty())
        value["DNSNames"] = dns_names(record, e);
    return value;
}

/// Bound ports; those that are exposed only have a null.
json ports_json(const model::ContainerRecord& record) {
    json ports = model::ports_to_json(record.bound_ports);
    if (!record.state.has_process()) return ports;
    for (const std::string& port : record.config.exposed_ports) {
        const std::string key = port.find('/') == std::string::npos ? port + "/tcp" : port;
        if (!ports.contains(key)) ports[key] = nullptr;
    }
    return ports;
}

json networks_json(const model::ContainerRecord& record) {
    json networks = json::object();
    for (const auto& [name, endpoint] : record.endpoints)
        networks[name] = endpoint_json(record, name, endpoint);
    return networks;
}

json network_settings(const model::ContainerRecord& record) {
    static const model::Endpoint kNone;
    const auto bridge = record.endpoints.find("bridge");
    const model::Endpoint& e = bridge == record.endpoints.end() ? kNone : bridge->second;
    const bool own = !record.host_config.network_mode.starts_with("container:");
    const int pid = own ? record.state.pid : 0;
    return {{"Bridge", ""},
            {"SandboxID", pid == 0 ? "" : record.id},
            {"SandboxKey", pid == 0 ? "" : fmt::format("/proc/{}/ns/net", pid)},
            {"Ports", ports_json(record)},
            {"HairpinMode", false},
            {"LinkLocalIPv6Address", ""},
            {"LinkLocalIPv6PrefixLen", 0},
            {"SecondaryIPAddresses", nullptr},
            {"SecondaryIPv6Addresses", nullptr},
            {"EndpointID", e.endpoint_id},
            {"Gateway", e.gateway},
            {"GlobalIPv6Address", e.ipv6_address},
            {"GlobalIPv6PrefixLen", e.prefix_v6},
            {"IPAddress", e.ip_address},
            {"IPPrefixLen", e.prefix},
            {"IPv6Gateway", e.gateway_v6},
            {"MacAddress", e.mac_address},
            {"Networks", networks_json(record)}};
}

json mounts_json(const model::ContainerRecord& record) {
    json mounts = json::array();
    // What HostConfig.Tmpfs asked for is shown there only.
    for (const model::MountPoint& mount : record.mounts)
        if (!record.host_config.tmpfs.contains(mount.destination))
            mounts.push_back(model::to_json(mount));
    return mounts;
}

json graph_driver(const ContainerState& state, const model::ContainerRecord& record) {
    const std::string directory = state.directory(record.id);
    json data = nullptr;
    if (record.driver != "vfs")
        data = {{"UpperDir", directory + "/upper"},
                {"WorkDir", directory + "/work"},
                {"MergedDir", state.run_directory(record.id) + "/rootfs"}};
    return {{"Name", record.driver}, {"Data", std::move(data)}};
}

json list_ports(const model::ContainerRecord& record) {
    json ports = json::array();
    const json all = ports_json(record);
    for (const auto& [port, bindings] : all.items()) {
        const model::PortSpec spec = model::port_spec_from(port);
        if (bindings.is_null())
            ports.push_back({{"PrivatePort", spec.number}, {"Type", spec.protocol}});
        for (const json& binding : bindings)
            ports.push_back({{"IP", binding["HostIp"]},
                             {"PrivatePort", spec.number},
                             {"PublicPort", std::stoi(binding["HostPort"].get<std::string>())},
                             {"Type", spec.protocol}});
    }
    return ports;
}

/// As Docker shows it: links with the names of both ends.
json host_config_json(const ContainerState& state, const model::ContainerRecord& record) {
    json value = model::to_json(record.host_config);
    if (record.host_config.network_mode != "bridge" || record.host_config.links.empty())
        return value;
    json& links = value["Links"] = json::array();
    for (const std::string& text : record.host_config.links) {
        const auto [name, alias] = model::split_link(text);
        const ContainerPtr target = state.try_find(name);
        links.push_back(
            fmt::format("/{}:/{}/{}", target ? target->record.name : name, record.name, alias));
    }
    return value;
}

std::string joined_command(const model::ContainerRecord& record) {
    std::string text;
    for (const std::string& word : model::command_line(record.config)) {
        // As dockerd, which quotes no other way; never the program itself.
        const bool quoted = !text.empty() && word.find(' ') != std::string::npos;
        text += (text.empty() ? "" : " ") + (quoted ? "'" + word + "'" : word);
    }
    return text;
}

}  // namespace

json inspect_json(const ContainerState& state, const Container& container) {
    const model::ContainerRecord& record = container.record;
    const std::string directory = state.directory(record.id);
    // Of the other drivers Docker keeps the files to itself.
    const auto log = log_files(record, state.directory(record.id));
    const bool json_log = log && log->format == LogFormat::json_lines;
    // With the network of another container they are that one's.
    std::string files = record.has_been_started ? directory : "";
    const std::string& mode = record.host_config.network_mode;
    if (!files.empty() && mode.starts_with("container:"))
        files = state.directory(mode.substr(std::string_view("container:").size()));
    const auto file = [&](const char* name) { return files.empty() ? "" : files + name; };
    json execs = nullptr;
    if (!container.exec_ids.empty()) execs = container.exec_ids;
    return {{"Id", record.id},
            {"Created", rfc3339(record.created)},
            {"Path", model::record_path(record)},
            {"Args", model::record_arguments(record)},
            {"State", state_json(record.state)},
            {"Image", record.image_id},
            {"ResolvConfPath", file("/resolv.conf")},
            {"HostnamePath", file("/hostname")},
            {"HostsPath", file("/hosts")},
            {"LogPath", json_log && record.has_been_started ? log->path : ""},
            {"Name", "/" + record.name},
            {"RestartCount", record.restart_count},
            {"Driver", record.driver},
            {"Platform", "linux"},
            {"MountLabel", ""},
            {"ProcessLabel", ""},
            {"AppArmorProfile", ""},
            {"ExecIDs", std::move(execs)},
            {"HostConfig", host_config_json(state, record)},
            {"GraphDriver", graph_driver(state, record)},
            {"Mounts", mounts_json(record)},
            {"Config", model::to_json(record.config)},
            {"NetworkSettings", network_settings(record)}};
}

json list_json(const ContainerState& state, const Container& container, Timestamp now) {
    const model::ContainerRecord& record = container.record;
    // What the user typed, unless that name means another image by now.
    const bool named = state.deps.images.still_named(record.config.image, record.image_id);
    return {{"Id", record.id},
            {"Names", json::array({"/" + record.name})},
            {"Image", named ? record.config.image : record.image_id},
            {"ImageID", record.image_id},
            {"Command", joined_command(record)},
            {"Created", record.created.seconds()},
            {"Ports", list_ports(record)},
            {"Labels", record.config.labels},
            {"State", model::to_string(record.state.status)},
            {"Status", model::status_text(record.state, now)},
            {"HostConfig", {{"NetworkMode", record.host_config.network_mode}}},
            {"NetworkSettings", {{"Networks", networks_json(record)}}},
            {"Mounts", mounts_json(record)}};
}

}  // namespace berth::engine
