#include "engine/networks.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/model/times.h"
#include "engine/network/state.h"

namespace berth::engine {

using nlohmann::json;

namespace {

enum class Detail { list, inspect };

std::string with_prefix(const std::string& address, int prefix) {
    return address.empty() ? "" : fmt::format("{}/{}", address, prefix);
}

json users_json(const std::vector<NetworkUser>& users) {
    json containers = json::object();
    for (const NetworkUser& user : users) {
        const model::Endpoint& e = user.endpoint;
        containers[user.container_id] = {{"Name", user.container_name},
                                         {"EndpointID", e.endpoint_id},
                                         {"MacAddress", e.mac_address},
                                         {"IPv4Address", with_prefix(e.ip_address, e.prefix)},
                                         {"IPv6Address", with_prefix(e.ipv6_address, e.prefix_v6)}};
    }
    return containers;
}

/// What a client chose is shown as it was sent; what it left to the engine with what came out.
json ipam_config(const Network& network, json chosen) {
    if (!network.is_bridge()) return network.config.config_only ? chosen : json();
    const auto add = [&](const std::optional<net::AddressPool>& pool, IpFamily family) {
        if (pool && !network.has_chosen_subnet(family))
            chosen.push_back(
                {{"Subnet", pool->subnet().str()}, {"Gateway", pool->gateway().str()}});
    };
    add(network.pool, IpFamily::v4);
    add(network.pool_v6, IpFamily::v6);
    return chosen;
}

json network_json(const NetworkState& state, const Network& network, Detail detail) {
    json value = model::to_json(network.config);
    value["Id"] = network.id;
    value["Created"] = rfc3339(network.created);
    value["IPAM"]["Config"] = ipam_config(network, std::move(value["IPAM"]["Config"]));
    const bool with_users = detail == Detail::inspect && state.users;
    value["Containers"] = with_users ? users_json(state.users(network.name)) : json::object();
    return value;
}

bool is_used(const NetworkState& state, const Network& network) {
    return state.users && !state.users(network.name).empty();
}

bool matches_type(const std::string& type, const Network& network) {
    if (type != "custom" && type != "builtin")
        throw Error(ErrorKind::invalid, "invalid filter: 'type'='{}'", type);
    return (type == "custom") == network.is_user_defined();
}

bool matches(const Filters& filters, const NetworkState& state, const Network& network) {
    const auto contains = [](const std::string& text) {
        return [&text](const std::string& value) { return matches_pattern(value, text); };
    };
    if (const auto dangling = filters.boolean("dangling")) {
        const bool idle = network.is_user_defined() && !is_used(state, network);
        if (idle != *dangling) return false;
    }
    const bool type =
        filters.any("type", [&](const std::string& value) { return matches_type(value, network); });
    return type && filters.any("name", contains(network.name)) &&
           filters.any("id", contains(network.id)) && filters.exact("driver", network.driver) &&
           filters.exact("scope", "local") && filters.labels(network.config.labels);
}

/// A network that takes its configuration from another has that one's, under its own name.
model::NetworkConfig resolve_config(const NetworkState& state, model::NetworkConfig config) {
    if (config.config_from.empty()) return config;
    const Network* source = state.try_find(config.config_from);
    if (source == nullptr || !source->config.config_only)
        throw Error(ErrorKind::not_found, "configuration network \"{}\" does not exist",
                    config.config_from);
    model::NetworkConfig whole = source->config;
    whole.name = config.name;
    whole.config_only = false;
    whole.config_from = source->name;
    whole.driver = config.driver;
    whole.labels = config.labels;
    whole.internal = config.internal;
    whole.attachable = config.attachable;
    return whole;
}

void check_unused(const NetworkState& state, const Network& network) {
    for (const Network& other : state.networks)
        if (network.config.config_only && other.config.config_from == network.name)
            throw Error(ErrorKind::denied, "configuration network \"{}\" is in use", network.name);
    if (!state.users) return;
    std::string users;
    for (const NetworkUser& user : state.users(network.name))
        users += fmt::format("{}name:\"{}\" id:\"{}\"", users.empty() ? "" : ", ",
                             user.container_name, user.container_id.substr(0, 12));
    if (!users.empty())
        throw Error(ErrorKind::denied, "network {} has active endpoints ({})", network.name, users);
}

std::vector<std::string> prunable(const NetworkState& state, const Filters& filters) {
    std::optional<Timestamp> until;
    if (filters.values("until").size() > 1)
        throw Error(ErrorKind::invalid, "more than one until filter specified");
    if (!filters.values("until").empty())
        until = model::time_from_query(filters.values("until").front(), Timestamp::now());
    std::vector<std::string> names;
    for (const Network& network : state.networks) {
        if (!network.is_user_defined() || is_used(state, network)) continue;
        if (!filters.labels(network.config.labels)) continue;
        if (until && network.created.ns > until->ns) continue;
        names.push_back(network.name);
    }
    return names;
}

}  // namespace

Networks::Networks(NetworkDependencies dependencies)
    : state_(std::make_unique<NetworkState>(std::move(dependencies))) {}
Networks::~Networks() = default;

json Networks::list(const Filters& filters) const {
    filters.check_keys({"dangling", "driver", "id", "label", "label!", "name", "scope", "type"});
    json result = json::array();
    for (const Network& network : state_->networks)
        if (matches(filters, *state_, network))
            result.push_back(network_json(*state_, network, Detail::list));
    return result;
}

json Networks::inspect(const std::string& ref) const {
    return network_json(*state_, std::as_const(*state_).find(ref), Detail::inspect);
}

async::Task<json> Networks::create(json body) {
    model::NetworkConfig config = model::network_config_from(body);
    model::validate(config);
    const async::Lock::Guard guard = co_await state_->changing.acquire();
    if (state_->by_name(config.name) != nullptr)
        throw Error(ErrorKind::conflict, "network with name {} already exists", config.name);
    config = resolve_config(*state_, std::move(config));
    if (config.config_only) config.driver = "null";  // there is nothing to drive
    const Network* made = co_await state_->add(std::move(config));
    state_->publish(*made, "create");
    co_return json{{"Id", made->id}, {"Warning", ""}};
}

async::Task<void> Networks::remove(std::string ref) {
    const async::Lock::Guard guard = co_await state_->changing.acquire();
    const Network& network = state_->find(ref);
    if (!network.is_user_defined())
        throw Error(ErrorKind::denied, "{} is a pre-defined network and cannot be removed",
                    network.name);
    try {
        check_unused(*state_, network);
    } catch (Error& error) {
        throw error.while_("error while removing network");
    }
    co_await state_->remove(network.id);
}

async::Task<json> Networks::prune(Filters filters) {
    filters.check_keys({"label", "label!", "until"});
    const std::vector<std::string> names = prunable(*state_, filters);
    if (std::exchange(state_->pruning, true))
        throw Error(ErrorKind::conflict, "a prune operation is already running");
    json removed = json::array();
    std::exception_ptr failure;
    for (const std::string& name : names) {
        try {
            co_await remove(name);
            removed.push_back(name);
        } catch (const Error& error) {
            // Somebody was quicker, with a removal or a container.
            log::debug("network {} is not pruned: {}", name, error.message());
        } catch (...) {
            failure = std::current_exception();
        }
    }
    state_->pruning = false;
    if (failure) std::rethrow_exception(failure);
    Event event;
    event.type = "network";
    event.action = "prune";
    event.attributes = {{"reclaimed", "0"}};
    state_->deps.context.events.publish(std::move(event));
    co_return json{{"NetworksDeleted", removed.empty() ? json() : std::move(removed)}};
}

void Networks::reconnect() {
    state_->deps.context.tasks.spawn("connect to the network process", state_->process.connect());
}

const std::vector<std::string>& Networks::warnings() const { return state_->process.warnings(); }

}  // namespace berth::engine
