#include "net/protocol.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace berth::net {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr const char* kSplicedEgress = "spliced-egress";

std::uint16_t port_of(const JsonReader& reader, std::string_view key) {
    const std::int64_t port = reader.integer(key);
    if (port < 0 || port > 65535)
        throw Error(ErrorKind::invalid, "{}: {} is not a port", reader.path_of(key), port);
    return static_cast<std::uint16_t>(port);
}

json json_of(const NetworkSpec& n) {
    return {{"id", n.id},
            {"name", n.name},
            {"bridge", n.bridge},
            {"subnet", n.subnet},
            {"gateway", n.gateway},
            {"subnet_v6", n.subnet_v6},
            {"gateway_v6", n.gateway_v6},
            {"mtu", n.mtu},
            {"internal", n.internal},
            {"icc", n.icc},
            {"masquerade", n.masquerade}};
}

NetworkSpec network_from(const JsonReader& r) {
    return {.id = r.string("id"),
            .name = r.string("name"),
            .bridge = r.string("bridge"),
            .subnet = r.string("subnet"),
            .gateway = r.string("gateway"),
            .subnet_v6 = r.string("subnet_v6"),
            .gateway_v6 = r.string("gateway_v6"),
            .mtu = static_cast<int>(r.integer("mtu")),
            .internal = r.boolean("internal", false),
            .icc = r.boolean("icc", true),
            .masquerade = r.boolean("masquerade", true)};
}

json json_of(const DnsSettings& d) {
    return {{"servers", d.servers}, {"search", d.search}, {"options", d.options}};
}

json json_of(const Attachment& a) {
    return {{"container", a.container},
            {"network_id", a.network_id},
            {"interface", a.interface},
            {"address", a.address},
            {"gateway", a.gateway},
            {"address_v6", a.address_v6},
            {"gateway_v6", a.gateway_v6},
            {"mac", a.mac},
            {"default_route", a.default_route},
            {"pid", a.pid},
            {"namespace_inode", a.namespace_inode},
            {"names", a.names},
            {"sysctls", a.sysctls},
            {"links", a.links},
            {"dns", json_of(a.dns)}};
}

DnsSettings dns_from(const JsonReader& r) {
    return {.servers = r.strings("servers"),
            .search = r.strings("search"),
            .options = r.strings("options")};
}

Attachment attachment_from(const JsonReader& r) {
    return {.container = r.string("container"),
            .network_id = r.string("network_id"),
            .interface = r.string("interface", "eth0"),
            .address = r.string("address"),
            .gateway = r.string("gateway"),
            .address_v6 = r.string("address_v6"),
            .gateway_v6 = r.string("gateway_v6"),
            .mac = r.string("mac"),
            .default_route = r.boolean("default_route", true),
            .pid = r.integer("pid"),
            .namespace_inode = static_cast<std::uint64_t>(r.integer("namespace_inode")),
            .names = r.strings("names"),
            .sysctls = r.string_map("sysctls"),
            .links = r.string_map("links"),
            .dns = dns_from(r.object("dns"))};
}

json json_of(const PortBinding& b) {
    json value{{"proto", to_string(b.transport)},
               {"host_ip", b.host_ip},
               {"host_port", b.host_port},
               {"container_ip", b.container_ip},
               {"container_port", b.container_port}};
    if (b.host_port_end != 0) value["host_port_end"] = b.host_port_end;
    if (!b.container_ip_v6.empty()) value["container_ip_v6"] = b.container_ip_v6;
    return value;
}

PortBinding binding_from(const JsonReader& r) {
    return {.transport = transport_from(r.string("proto", "tcp")),
            .host_ip = r.string("host_ip"),
            .host_port = port_of(r, "host_port"),
            .host_port_end = port_of(r, "host_port_end"),
            .container_ip = r.string("container_ip"),
            .container_ip_v6 = r.string("container_ip_v6"),
            .container_port = port_of(r, "container_port")};
}

json json_of(const std::vector<PortBinding>& bindings) {
    json list = json::array();
    for (const PortBinding& binding : bindings) list.push_back(json_of(binding));
    return list;
}

std::vector<PortBinding> bindings_from(const JsonReader& r) {
    std::vector<PortBinding> bindings;
    for (const JsonReader& entry : r.objects("bindings")) bindings.push_back(binding_from(entry));
    return bindings;
}

json json_of(const NetworkState& state) {
    json value{{"networks", json::array()},
               {"attachments", json::array()},
               {"bindings", json::array()},
               {"warnings", state.warnings}};
    for (const NetworkSpec& network : state.networks) value["networks"].push_back(json_of(network));
    for (const Attachment& attachment : state.attachments)
        value["attachments"].push_back(json_of(attachment));
    for (const PublishedPorts& ports : state.bindings)
        value["bindings"].push_back({{"container", ports.container},
                                     {"bindings", json_of(ports.bindings)},
                                     {"output", ports.output}});
    return value;
}

NetworkState state_from(const JsonReader& r) {
    NetworkState state;
    for (const JsonReader& entry : r.objects("networks"))
        state.networks.push_back(network_from(entry));
    for (const JsonReader& entry : r.objects("attachments"))
        state.attachments.push_back(attachment_from(entry));
    // The reply of publish has bindings of another shape under the same key.
    for (const JsonReader& entry : r.objects("bindings"))
        if (entry.has("container"))
            state.bindings.push_back(
                {entry.string("container"), bindings_from(entry), entry.string("output")});
    state.warnings = r.strings("warnings");
    return state;
}

struct RequestEncoder final {
    json operator()(const EnsureNetwork& r) const {
        return {{"type", "ensure_network"}, {"network", json_of(r.network)}};
    }
    json operator()(const RemoveNetwork& r) const {
        return {{"type", "remove_network"}, {"id", r.id}};
    }
    json operator()(const Attach& r) const {
        json value = json_of(r.attachment);
        value["type"] = "attach";
        return value;
    }
    json operator()(const Loopback&) const { return {{"type", "loopback"}}; }
    json operator()(const Detach& r) const {
        return {{"type", "detach"},
                {"container", r.container},
                {"network_id", r.network_id},
                {"remove_interface", r.remove_interface}};
    }
    json operator()(const SetDefaultRoute& r) const {
        return {{"type", "set_default_route"}, {"container", r.container},
                {"gateway", r.gateway},        {"interface", r.interface},
                {"gateway_v6", r.gateway_v6},  {"interface_v6", r.interface_v6}};
    }
    json operator()(const Release& r) const {
        return {{"type", "release"},
                {"container", r.container},
                {"remove_interfaces", r.remove_interfaces}};
    }
    json operator()(const Keep& r) const {
        return {{"type", "keep"}, {"networks", r.networks}, {"containers", r.containers}};
    }
    json operator()(const Publish& r) const {
        return {{"type", "publish"},
                {"container", r.ports.container},
                {"bindings", json_of(r.ports.bindings)},
                {"output", r.ports.output},
                {"unless_published", r.unless_published}};
    }
    json operator()(const Unpublish& r) const {
        return {{"type", "unpublish"}, {"container", r.container}};
    }
    json operator()(const GetState&) const { return {{"type", "state"}}; }
};

Request request_from(const JsonReader& r) {
    const std::string type = r.string("type");
    if (type == "ensure_network") return EnsureNetwork{network_from(r.object("network"))};
    if (type == "remove_network") return RemoveNetwork{r.string("id")};
    if (type == "attach") return Attach{attachment_from(r)};
    if (type == "loopback") return Loopback{};
    if (type == "detach")
        return Detach{r.string("container"), r.string("network_id"),
                      r.boolean("remove_interface", false)};
    if (type == "set_default_route")
        return SetDefaultRoute{r.string("container"), r.string("gateway"), r.string("interface"),
                               r.string("gateway_v6"), r.string("interface_v6")};
    if (type == "release")
        return Release{r.string("container"), r.boolean("remove_interfaces", false)};
    if (type == "keep") return Keep{r.strings("networks"), r.strings("containers")};
    if (type == "publish")
        return Publish{{r.string("container"), bindings_from(r), r.string("output")},
                       r.boolean("unless_published", false)};
    if (type == "unpublish") return Unpublish{r.string("container")};
    if (type == "state") return GetState{};
    throw Error(ErrorKind::unsupported, "unknown request type {}", type);
}

json reply_of(std::int64_t seq) { return {{"v", kVersion}, {"type", "reply"}, {"seq", seq}}; }

}  // namespace

std::string_view to_string(Transport transport) {
    switch (transport) {
        case Transport::tcp:
            return "tcp";
        case Transport::udp:
            return "udp";
        case Transport::sctp:
            return "sctp";
    }
    return "tcp";
}

Transport transport_from(std::string_view text) {
    if (text == "tcp") return Transport::tcp;
    if (text == "udp") return Transport::udp;
    if (text == "sctp") return Transport::sctp;
    throw Error(ErrorKind::invalid, "invalid proto: {}", text);
}

std::string encode_request(const NumberedRequest& request) {
    json value = std::visit(RequestEncoder{}, request.request);
    value["v"] = kVersion;
    value["seq"] = request.seq;
    return dump_json(value);
}

NumberedRequest decode_request(std::string_view text) {
    const json value = parse_json(text);
    const JsonReader reader(value);
    if (reader.integer("v") != kVersion)
        throw Error(ErrorKind::unsupported, "unknown protocol version {}", reader.integer("v"));
    return {reader.integer("seq"), request_from(reader)};
}

std::int64_t sequence_of(std::string_view text) {
    try {
        const json value = parse_json(text);
        return JsonReader(value).integer("seq");
    } catch (const Error&) {
        return 0;
    }
}

std::string encode_empty_reply(std::int64_t seq) { return dump_json(reply_of(seq)); }

std::string encode_error_reply(std::int64_t seq, const Error& error) {
    json value = reply_of(seq);
    value["error"] = {{"kind", to_string(error.kind())}, {"message", error.message()}};
    if (error.errno_value() != 0) value["error"]["errno"] = error.errno_value();
    return dump_json(value);
}

std::string encode_bindings_reply(std::int64_t seq, const std::vector<PortBinding>& bindings) {
    json value = reply_of(seq);
    value["bindings"] = json_of(bindings);
    return dump_json(value);
}

std::string encode_state_reply(std::int64_t seq, const NetworkState& state) {
    json value = reply_of(seq);
    value.update(json_of(state));
    return dump_json(value);
}

Reply decode_reply(std::string_view text) {
    const json value = parse_json(text);
    const JsonReader reader(value);
    Reply reply;
    reply.seq = reader.integer("seq");
    if (reader.has("error")) {
        const JsonReader error = reader.object("error");
        reply.error =
            Error::with_text(error_kind_from(error.string("kind")), error.string("message"),
                             static_cast<int>(error.integer("errno")));
        return reply;
    }
    reply.state = state_from(reader);
    if (reply.state.bindings.empty()) reply.bindings = bindings_from(reader);
    return reply;
}

json to_json(const ProcessConfig& config) {
    return {{"socket", config.socket},
            {"state_file", config.state_file},
            {"log-level", config.log_level},
            {"tap_mtu", config.tap_mtu},
            {"tap_ipv6", config.tap_ipv6},
            {"allow_host_loopback", config.allow_host_loopback},
            {"features", {{kSplicedEgress, config.spliced_egress}}}};
}

ProcessConfig process_config_from(const json& value) {
    const JsonReader reader(value, "config");
    ProcessConfig config;
    config.socket = reader.string("socket");
    const std::string exec_root = reader.string("exec-root");
    if (config.socket.empty() && !exec_root.empty()) config.socket = exec_root + "/network.sock";
    if (config.socket.empty()) throw Error(ErrorKind::invalid, "config.exec-root is missing");
    config.state_file = reader.string("state_file");
    if (config.state_file.empty()) {
        const auto slash = config.socket.rfind('/');
        config.state_file = config.socket.substr(0, slash + 1) + "network-state.json";
    }
    config.log_level = reader.string("log-level", config.log_level);
    config.tap_mtu = static_cast<int>(reader.integer("tap_mtu", config.tap_mtu));
    config.tap_ipv6 = reader.boolean("tap_ipv6", config.tap_ipv6);
    config.allow_host_loopback = reader.boolean("allow_host_loopback", config.allow_host_loopback);
    if (reader.has("features"))
        config.spliced_egress =
            reader.object("features").boolean(kSplicedEgress, config.spliced_egress);
    return config;
}

std::string encode_state(const NetworkState& state) { return dump_json(json_of(state)); }

NetworkState decode_state(std::string_view text) {
    const json value = parse_json(text);
    return state_from(JsonReader(value));
}

}  // namespace berth::net
