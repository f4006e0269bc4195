#include "engine/network/state.h"

#include <fcntl.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "net/host_subnets.h"

namespace berth::engine {

using nlohmann::json;

namespace {

constexpr int kNetworksVersion = 2;  // 1 had the ids of the predefined networks only

/// Without them a subnet may be chosen that the host has a use for: better than no network.
std::vector<Subnet> subnets_of_the_host() {
    try {
        return net::host_subnets();
    } catch (const Error& error) {
        log::warn("choosing subnets without regard to the host's: {}", error.message());
        return {};
    }
}

void check_version(const JsonReader& reader, const std::string& path) {
    const std::int64_t version = reader.integer("v");
    if (version < 1 || version > kNetworksVersion)
        throw Error(ErrorKind::unsupported,
                    "{} is of version {}, this engine knows up to {}: use the berth that made it, "
                    "or another --data-root",
                    path, version, kNetworksVersion);
}

json parse_record(const std::string& text, const std::string& path) {
    try {
        return parse_json(text);
    } catch (Error& error) {
        throw error.while_("reading {}", path);
    }
}

}  // namespace

NetworkState::NetworkState(NetworkDependencies dependencies)
    : deps(std::move(dependencies)), process(deps.context) {
    process.reminders = [this] { return reminders(); };
}

AddressPlan NetworkState::address_plan(std::vector<Subnet> host) const {
    AddressPlan plan;
    for (const Network& network : networks) {
        if (network.pool) plan.used.push_back(network.pool->subnet());
        if (network.pool_v6) plan.used.push_back(network.pool_v6->subnet());
    }
    plan.host = std::move(host);
    plan.sources = pool_sources(deps.context.settings, deps.engine_id);
    return plan;
}

async::Task<void> NetworkState::load() {
    const Settings& settings = deps.context.settings;
    path_ = settings.data_root + "/networks/networks.json";
    const auto text = read_file_if_exists(path_);
    const json stored = text ? parse_record(*text, path_) : json::object();
    const JsonReader reader(stored, "networks.json");
    if (text) check_version(reader, path_);
    const Timestamp created{reader.integer("created", Timestamp::now().ns)};
    const auto id = [&](const char* name) {
        const std::string known = reader.string(name);
        return known.empty() ? random_hex_id() : known;
    };
    for (const JsonReader& record : reader.objects("networks"))
        networks.push_back(network_from_record(record.value()));
    default_subnet_ = reader.string("bridge_subnet");
    const std::string bridge_id = id("bridge");
    if (settings.default_network == DefaultNetwork::bridge) {
        Network bridge = make_default_bridge(bridge_id, created, settings, default_subnet_,
                                             address_plan(subnets_of_the_host()));
        default_subnet_ = bridge.pool->subnet().str();
        networks.push_back(std::move(bridge));
    }
    networks.push_back(make_linkless(id("host"), created, "host"));
    networks.push_back(make_linkless(id("none"), created, "none"));
    if (text && default_subnet_ == reader.string("bridge_subnet")) co_return;
    make_directories(settings.data_root + "/networks", 0700);
    co_await save();
}

async::Task<void> NetworkState::save() {
    json record = {{"v", kNetworksVersion}, {"bridge_subnet", default_subnet_}};
    json& list = record["networks"] = json::array();
    for (const Network& network : networks) {
        if (network.is_user_defined()) {
            list.push_back(to_record(network));
        } else {
            record[network.name] = network.id;
            record["created"] = network.created.ns;
        }
    }
    auto job = [path = path_, text = dump_json(record)] {
        replace_file(path, text, 0600, Durability::power);
    };
    co_await deps.context.pool.run(std::move(job));
}

const Network* NetworkState::try_find(const std::string& ref) const {
    for (const Network& network : networks)
        if (network.id == ref) return &network;
    for (const Network& network : networks)
        if (network.name == ref) return &network;
    const Network* found = nullptr;
    for (const Network& network : networks) {
        if (ref.empty() || !network.id.starts_with(ref)) continue;
        if (found != nullptr)
            throw Error(ErrorKind::invalid,
                        "network {} is ambiguous (2 matches found on ID prefix)", ref);
        found = &network;
    }
    return found;
}

const Network& NetworkState::find(const std::string& ref) const {
    const Network* found = try_find(ref);
    if (found == nullptr) throw Error(ErrorKind::not_found, "network {} not found", ref);
    return *found;
}

Network& NetworkState::find(const std::string& ref) {
    return const_cast<Network&>(std::as_const(*this).find(ref));
}

Network* NetworkState::by_name(const std::string& name) {
    const auto found = std::ranges::find(networks, name, &Network::name);
    return found == networks.end() ? nullptr : &*found;
}

async::Task<void> NetworkState::make_known(const Network& network) {
    if (!network.is_bridge()) co_return;
    net::Request ensure = net::EnsureNetwork{spec_of(network)};
    co_await process.call(std::move(ensure));
}

async::Task<const Network*> NetworkState::add(model::NetworkConfig config) {
    const bool chosen = !config.ipam.empty();
    std::vector<Subnet> host;
    if (!chosen || config.ipv6) {
        auto look = [] { return subnets_of_the_host(); };
        host = co_await deps.context.pool.run(std::move(look));
    }
    Network made = make_network(random_hex_id(), Timestamp::now(), std::move(config),
                                address_plan(std::move(host)));
    for (const Network& other : networks)
        if (made.is_bridge() && other.bridge == made.bridge)
            throw Error(ErrorKind::denied,
                        "cannot create network {} ({}): conflicts with network {} ({}): networks "
                        "have same bridge name",
                        made.id, made.bridge, other.id, other.bridge);
    co_await make_known(made);
    networks.push_back(std::move(made));
    const Network& network = networks.back();
    std::exception_ptr failure;
    try {
        co_await save();
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) co_return &network;
    const std::string id = network.id;
    networks.pop_back();
    net::Request undo = net::RemoveNetwork{id};
    co_await process.call(std::move(undo));
    std::rethrow_exception(failure);
}

async::Task<void> NetworkState::remove(std::string id) {
    const auto found = std::ranges::find(networks, id, &Network::id);
    if (found == networks.end()) co_return;
    if (found->is_bridge()) {
        net::Request request = net::RemoveNetwork{id};
        co_await process.call(std::move(request));
    }
    const Network gone = *found;
    networks.erase(found);
    std::exception_ptr failure;
    try {
        co_await save();
    } catch (...) {
        failure = std::current_exception();
    }
    // It is gone for this engine; a file that says otherwise is written again at the next change.
    if (failure) log::warn("network {} is removed, but that is not saved yet", gone.name);
    publish(gone, "destroy");
}

void NetworkState::publish(const Network& network, const std::string& action,
                           std::map<std::string, std::string> attributes) const {
    Event event;
    event.type = "network";
    event.action = action;
    event.actor = network.id;
    event.attributes = std::move(attributes);
    event.attributes["name"] = network.name;
    event.attributes["type"] = network.driver;
    deps.context.events.publish(std::move(event));
}

std::vector<Reminder> NetworkState::reminders() const {
    std::vector<Reminder> list;
    net::Keep keep;
    for (const Network& network : networks)
        if (network.is_bridge()) keep.networks.push_back(network.id);
    const std::vector<const model::ContainerRecord*> records =
        plugged ? plugged() : std::vector<const model::ContainerRecord*>();
    for (const model::ContainerRecord* record : records) keep.containers.push_back(record->id);
    list.push_back({std::move(keep), {}});
    for (const Network& network : networks)
        if (network.is_bridge()) list.push_back({net::EnsureNetwork{spec_of(network)}, {}});
    for (const model::ContainerRecord* record : records) {
        if (record->state.pid == 0) continue;
        const std::string path = fmt::format("/proc/{}/ns/net", record->state.pid);
        for (net::Request& request : requests_again(*record)) {
            UniqueFd inside{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
            if (!inside) continue;  // it just ended
            list.push_back({std::move(request), std::move(inside)});
        }
    }
    return list;
}

std::vector<net::Request> NetworkState::requests_again(const model::ContainerRecord& record) const {
    std::vector<net::Request> requests;
    for (net::Attachment& attachment : attachments_of(record, record.state.pid))
        requests.emplace_back(net::Attach{std::move(attachment)});
    net::PublishedPorts ports{record.id, moved_ports(record, gateways_of(record))};
    ports.output = deps.context.settings.data_root + "/containers/" + record.id;
    if (!ports.bindings.empty()) requests.emplace_back(net::Publish{std::move(ports), true});
    return requests;
}

}  // namespace berth::engine
