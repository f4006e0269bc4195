#include "engine/network/state.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/model/validate.h"
#include "linux/message_socket.h"

namespace berth::engine {

using nlohmann::json;

namespace {

constexpr const char* kDefaultBridge = "172.17.0.1/16";

/// Address and prefix of the default bridge: `bip`, else the first subnet of the configured pools,
/// else Docker's; a `fixed-cidr` outside of that subnet is the subnet.
net::Subnet bridge_address(const Settings& settings) {
    if (!settings.bridge_address.empty()) return net::Subnet::parse(settings.bridge_address);
    net::Subnet chosen = net::Subnet::parse(kDefaultBridge);
    std::vector<net::PoolSource> sources;
    for (const AddressRange& range : settings.address_pools)
        sources.push_back({net::Subnet::parse(range.base), range.size});
    if (!sources.empty()) chosen = net::pick_subnet(sources, {}, {});
    if (!settings.fixed_cidr.empty()) {
        const net::Subnet fixed = net::Subnet::parse(settings.fixed_cidr).network();
        if (!chosen.contains(fixed.first()) || !chosen.contains(fixed.last())) chosen = fixed;
    }
    if (chosen.address == chosen.first()) ++chosen.address.value;
    return chosen;
}

net::AddressPool bridge_pool(const Settings& settings) {
    const net::Subnet address = bridge_address(settings);
    std::optional<net::Subnet> range;
    if (!settings.fixed_cidr.empty()) range = net::Subnet::parse(settings.fixed_cidr);
    net::AddressPool pool(address.network(), range, address.address);
    if (!settings.default_gateway.empty()) {
        const net::IpAddress gateway = net::IpAddress::parse(settings.default_gateway);
        if (!pool.subnet().contains(gateway))
            throw Error(ErrorKind::invalid, "default-gateway {} is not in the bridge's subnet {}",
                        settings.default_gateway, pool.subnet().str());
        if (gateway != pool.gateway()) pool.reserve(gateway);
    }
    return pool;
}

/// Published ports as the network process takes them.
std::vector<net::PortBinding> wanted_ports(const model::ContainerRecord& record,
                                           const std::string& address,
                                           const std::string& default_host_ip) {
    std::vector<net::PortBinding> wanted;
    const auto add = [&](const std::string& port, const model::PortBinding& binding) {
        const model::PortSpec spec = model::port_spec_from(port);
        const auto [first, last] = model::host_port_range(binding.host_port);
        net::PortBinding one;
        one.transport = net::transport_from(spec.protocol);
        one.host_ip = binding.host_ip.empty() ? default_host_ip : binding.host_ip;
        one.host_port = first;
        one.host_port_end = last;
        one.container_ip = address;
        one.container_port = spec.number;
        wanted.push_back(std::move(one));
    };
    for (const auto& [port, bindings] : record.host_config.port_bindings) {
        if (bindings.empty()) add(port, {});
        for (const model::PortBinding& binding : bindings) add(port, binding);
    }
    if (!record.host_config.publish_all_ports) return wanted;
    for (const std::string& port : record.config.exposed_ports)
        if (!record.host_config.port_bindings.contains(port)) add(port, {});
    return wanted;
}

model::PortMap bound_ports(const std::vector<net::PortBinding>& bindings) {
    model::PortMap ports;
    for (const net::PortBinding& b : bindings) {
        const std::string port =
            fmt::format("{}/{}", b.container_port, net::to_string(b.transport));
        ports[port].push_back({b.host_ip, std::to_string(b.host_port)});
    }
    return ports;
}

bool is_bridge(const Network& network) { return network.pool.has_value(); }

void forget_addresses(model::Endpoint& endpoint) {
    endpoint.endpoint_id.clear();
    endpoint.ip_address.clear();
    endpoint.prefix = 0;
    endpoint.gateway.clear();
    endpoint.mac_address.clear();
}

}  // namespace

NetworkState::NetworkState(NetworkDependencies dependencies) : deps(std::move(dependencies)) {}

void NetworkState::load() {
    const Settings& settings = deps.context.settings;
    const std::string path = settings.data_root + "/networks/networks.json";
    const auto text = read_file_if_exists(path);
    const json stored = text ? parse_json(*text) : json::object();
    const JsonReader reader(stored);
    const Timestamp created{reader.integer("created", Timestamp::now().ns)};
    const auto id = [&](const char* name) {
        const std::string known = reader.string(name);
        return known.empty() ? random_hex_id() : known;
    };
    const std::string bridge_id = id("bridge");
    const std::string host_id = id("host");
    const std::string none_id = id("none");
    if (settings.default_network == DefaultNetwork::bridge)
        networks.push_back(
            {bridge_id, "bridge", "bridge", created, bridge_pool(settings), "docker0"});
    networks.push_back({host_id, "host", "host", created, std::nullopt, ""});
    networks.push_back({none_id, "none", "null", created, std::nullopt, ""});
    if (text) return;
    make_directories(settings.data_root + "/networks", 0700);
    const json record = {{"v", 1},
                         {"created", created.ns},
                         {"bridge", bridge_id},
                         {"host", host_id},
                         {"none", none_id}};
    replace_file(path, dump_json(record), 0600, Durability::power);
}

const Network* NetworkState::try_find(const std::string& ref) const {
    for (const Network& network : networks)
        if (network.name == ref || network.id == ref) return &network;
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

void NetworkState::prepare_endpoints(model::ContainerRecord& record) const {
    const Network* network = try_find(record.host_config.network_mode);
    if (network == nullptr) {
        // Kept for the start, which says what is missing.
        if (record.endpoints.empty()) record.endpoints[record.host_config.network_mode];
        return;
    }
    model::Endpoint endpoint;
    const auto asked = record.endpoints.find(network->name);
    if (asked != record.endpoints.end()) endpoint = asked->second;
    endpoint.network_id = network->id;
    record.endpoints.clear();
    record.endpoints.emplace(network->name, std::move(endpoint));
}

void NetworkState::allocate(model::ContainerRecord& record) {
    for (auto& [name, endpoint] : record.endpoints) {
        auto network = std::ranges::find(networks, name, &Network::name);
        if (network == networks.end())
            throw Error(ErrorKind::not_found, "network {} not found", name);
        endpoint.network_id = network->id;
        endpoint.endpoint_id = random_hex_id();
        if (!is_bridge(*network)) continue;
        const net::IpAddress address = network->pool->allocate();
        endpoint.ip_address = address.str();
        endpoint.prefix = network->pool->subnet().prefix;
        const std::string& gateway = deps.context.settings.default_gateway;
        endpoint.gateway = gateway.empty() ? network->pool->gateway().str() : gateway;
        const std::string& asked = endpoint.config.mac_address.empty()
                                       ? record.config.mac_address
                                       : endpoint.config.mac_address;
        endpoint.mac_address = asked.empty() ? net::random_mac() : asked;
    }
}

async::Task<void> NetworkState::attach(model::ContainerRecord& record, BorrowedFd netns,
                                       pid_t pid) {
    const std::string& mode = record.host_config.network_mode;
    if (mode == "host" || mode.starts_with("container:")) co_return;
    std::vector<BorrowedFd> fds;
    fds.push_back(netns);
    if (mode == "none") {
        net::Request request = net::Loopback{};
        co_await call(std::move(request), std::move(fds));
        co_return;
    }
    for (auto& [name, endpoint] : record.endpoints) {
        if (endpoint.ip_address.empty()) continue;
        net::Attachment attachment;
        attachment.container = record.id;
        attachment.network_id = endpoint.network_id;
        attachment.address = fmt::format("{}/{}", endpoint.ip_address, endpoint.prefix);
        attachment.gateway = endpoint.gateway;
        attachment.mac = endpoint.mac_address;
        attachment.pid = pid;
        net::Request attach = net::Attach{std::move(attachment)};
        co_await call(std::move(attach), fds);
        std::vector<net::PortBinding> ports =
            wanted_ports(record, endpoint.ip_address, deps.context.settings.publish_address);
        if (ports.empty()) continue;
        net::PublishedPorts published{record.id, std::move(ports)};
        net::Request publish = net::Publish{std::move(published)};
        const net::Reply reply = co_await call(std::move(publish), std::vector<BorrowedFd>());
        record.bound_ports = bound_ports(reply.bindings);
    }
}

void NetworkState::release(model::ContainerRecord& record) {
    std::vector<std::string> remote;
    for (auto& [name, endpoint] : record.endpoints) {
        const auto network = std::ranges::find(networks, name, &Network::name);
        if (network != networks.end() && is_bridge(*network) && !endpoint.ip_address.empty()) {
            network->pool->release(net::IpAddress::parse(endpoint.ip_address));
            remote.push_back(endpoint.network_id);
        }
        forget_addresses(endpoint);
    }
    record.bound_ports.clear();
    if (!remote.empty())
        deps.context.tasks.spawn("network release", release_remote(record.id, std::move(remote)));
}

async::Task<void> NetworkState::release_remote(std::string container,
                                               std::vector<std::string> network_ids) {
    net::Request unpublish = net::Unpublish{container};
    co_await call(std::move(unpublish), std::vector<BorrowedFd>());
    for (const std::string& id : network_ids) {
        net::Request detach = net::Detach{container, id};
        co_await call(std::move(detach), std::vector<BorrowedFd>());
    }
}

void NetworkState::adopt(const model::ContainerRecord& record) {
    for (const auto& [name, endpoint] : record.endpoints) {
        const auto network = std::ranges::find(networks, name, &Network::name);
        if (network == networks.end() || !is_bridge(*network) || endpoint.ip_address.empty())
            continue;
        network->pool->adopt(net::IpAddress::parse(endpoint.ip_address));
    }
}

net::NetworkSpec NetworkState::spec_of(const Network& network) const {
    net::NetworkSpec spec;
    spec.id = network.id;
    spec.name = network.name;
    spec.bridge = network.bridge;
    spec.subnet = network.pool->subnet().str();
    spec.gateway = network.pool->gateway().str();
    const Settings& settings = deps.context.settings;
    spec.mtu = settings.mtu;
    spec.icc = settings.icc;
    spec.masquerade = settings.masquerade;
    return spec;
}

namespace {

/// One request over `channel`; the wire form of net/protocol.h without its number, which the
/// channel adds.
async::Task<net::Reply> send(std::shared_ptr<async::MessageChannel> channel, net::Request request,
                             std::vector<BorrowedFd> fds) {
    json message = parse_json(net::encode_request({0, std::move(request)}));
    message.erase("seq");
    const async::ChannelMessage reply =
        co_await channel->request(std::move(message), std::move(fds));
    co_return net::decode_reply(dump_json(reply.body()));
}

/// Supervisor and boot start the network process beside the engine: it may not listen yet.
async::Task<UniqueFd> connect_patiently(std::string path) {
    constexpr std::chrono::seconds kPatience{5};
    constexpr std::chrono::milliseconds kPause{20};
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
        std::optional<Error> failure;
        UniqueFd socket;
        try {
            socket = linux_os::connect_messages(path);
        } catch (const Error& error) {
            failure = error;
        }
        if (!failure) co_return socket;
        const bool late = std::chrono::steady_clock::now() > deadline;
        if (late || failure->kind() != ErrorKind::not_found)
            throw Error(ErrorKind::unavailable, "the network process cannot be reached: {}",
                        failure->message());
        co_await async::sleep_for(kPause);
    }
}

}  // namespace

async::Task<void> NetworkState::connect() {
    const async::Lock::Guard guard = co_await connecting_.acquire();
    if (channel_ && !channel_->closed()) co_return;
    const Settings& settings = deps.context.settings;
    const std::string path = settings.network_socket.empty() ? settings.exec_root + "/network.sock"
                                                             : settings.network_socket;
    async::MessageChannel::Handlers handlers;
    handlers.on_event = [](async::ChannelMessage) {};
    handlers.on_closed = [] { log::warn("the network process hung up"); };
    UniqueFd socket = co_await connect_patiently(path);
    channel_ = std::make_shared<async::MessageChannel>(deps.context.executor, std::move(socket),
                                                       "network process", handlers);
    // What a network process that started anew does not know yet.
    try {
        for (const Network& network : networks) {
            if (!is_bridge(network)) continue;
            net::Request ensure = net::EnsureNetwork{spec_of(network)};
            co_await send(channel_, std::move(ensure), std::vector<BorrowedFd>());
        }
    } catch (...) {
        channel_->close();
        throw;
    }
}

async::Task<net::Reply> NetworkState::call(net::Request request, std::vector<BorrowedFd> fds) {
    if (!channel_ || channel_->closed() || connecting_.held()) co_await connect();
    const std::shared_ptr<async::MessageChannel> channel = channel_;
    co_return co_await send(channel, std::move(request), std::move(fds));
}

}  // namespace berth::engine
