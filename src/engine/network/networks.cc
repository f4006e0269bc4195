#include "engine/networks.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "engine/network/state.h"

namespace berth::engine {

using nlohmann::json;

namespace {

enum class Detail { list, inspect };

json ipam_json(const Network& network) {
    json config = json::array();
    if (network.pool)
        config.push_back(
            {{"Subnet", network.pool->subnet().str()}, {"Gateway", network.pool->gateway().str()}});
    return {{"Driver", "default"},
            {"Options", nullptr},
            {"Config", network.pool ? std::move(config) : json()}};
}

json options_json(const Network& network, const Settings& settings) {
    if (!network.pool) return json::object();
    const auto text = [](bool value) { return value ? "true" : "false"; };
    const int mtu = settings.mtu > 0 ? settings.mtu : net::kFastMtu;
    return {{"com.docker.network.bridge.default_bridge", "true"},
            {"com.docker.network.bridge.enable_icc", text(settings.icc)},
            {"com.docker.network.bridge.enable_ip_masquerade", text(settings.masquerade)},
            {"com.docker.network.bridge.host_binding_ipv4",
             settings.publish_address.empty() ? "0.0.0.0" : settings.publish_address},
            {"com.docker.network.bridge.name", network.bridge},
            {"com.docker.network.driver.mtu", std::to_string(mtu)}};
}

json users_json(const std::vector<NetworkUser>& users) {
    json containers = json::object();
    for (const NetworkUser& user : users) {
        const model::Endpoint& e = user.endpoint;
        containers[user.container_id] = {
            {"Name", user.container_name},
            {"EndpointID", e.endpoint_id},
            {"MacAddress", e.mac_address},
            {"IPv4Address",
             e.ip_address.empty() ? "" : fmt::format("{}/{}", e.ip_address, e.prefix)},
            {"IPv6Address", ""}};
    }
    return containers;
}

json network_json(const NetworkState& state, const Network& network, Detail detail) {
    const bool with_users = detail == Detail::inspect && state.users;
    return {{"Name", network.name},
            {"Id", network.id},
            {"Created", rfc3339(network.created)},
            {"Scope", "local"},
            {"Driver", network.driver},
            {"EnableIPv4", true},
            {"EnableIPv6", false},
            {"IPAM", ipam_json(network)},
            {"Internal", false},
            {"Attachable", false},
            {"Ingress", false},
            {"ConfigFrom", {{"Network", ""}}},
            {"ConfigOnly", false},
            {"Containers", with_users ? users_json(state.users(network.name)) : json::object()},
            {"Options", options_json(network, state.deps.context.settings)},
            {"Labels", json::object()}};
}

bool matches(const Filters& filters, const Network& network) {
    const auto contains = [](const std::string& text) {
        return [&text](const std::string& value) { return matches_pattern(value, text); };
    };
    if (filters.boolean("dangling").value_or(false)) return false;
    const bool type = filters.any("type", [](const std::string& value) {
        if (value != "custom" && value != "builtin")
            throw Error(ErrorKind::invalid, "invalid filter: 'type'='{}'", value);
        return value == "builtin";
    });
    return type && filters.any("name", contains(network.name)) &&
           filters.any("id", contains(network.id)) && filters.exact("driver", network.driver) &&
           filters.exact("scope", "local") && filters.labels({});
}

Error not_served(const char* what) {
    return Error(ErrorKind::unsupported, "{}: user-defined networks are not supported yet", what);
}

}  // namespace

Networks::Networks(NetworkDependencies dependencies)
    : state_(std::make_unique<NetworkState>(std::move(dependencies))) {}
Networks::~Networks() = default;

json Networks::list(const Filters& filters) const {
    filters.check_keys({"dangling", "driver", "id", "label", "label!", "name", "scope", "type"});
    json result = json::array();
    for (const Network& network : state_->networks)
        if (matches(filters, network))
            result.push_back(network_json(*state_, network, Detail::list));
    return result;
}

json Networks::inspect(const std::string& ref) const {
    return network_json(*state_, state_->find(ref), Detail::inspect);
}

async::Task<json> Networks::create(const json& body) {
    const JsonReader reader(body, "", KeyCase::any);
    const std::string name = reader.string("Name");
    if (name.empty()) throw Error(ErrorKind::invalid, "network name cannot be empty");
    if (state_->try_find(name) != nullptr)
        throw Error(ErrorKind::denied, "operation is not permitted on predefined {} network", name);
    throw not_served("network create");
    co_return json();
}

async::Task<void> Networks::remove(std::string ref) {
    const Network& network = state_->find(ref);
    throw Error(ErrorKind::denied, "{} is a pre-defined network and cannot be removed",
                network.name);
    co_return;
}

async::Task<void> Networks::connect(std::string ref, const json&) {
    state_->find(ref);
    throw not_served("network connect");
    co_return;
}

async::Task<void> Networks::disconnect(std::string ref, const json&) {
    state_->find(ref);
    throw not_served("network disconnect");
    co_return;
}

}  // namespace berth::engine
