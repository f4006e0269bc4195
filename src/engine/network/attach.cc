// The part of NetworkState that deals with one container: addresses, interfaces, routes, ports.
#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "engine/model/links.h"
#include "engine/network/state.h"

namespace berth::engine {

namespace {

constexpr std::string_view kSysctlOption = "com.docker.network.endpoint.sysctls";

// Texts that docker's own tests and compose match.
constexpr const char* kAttachWithHost =
    "container cannot be disconnected from host network or connected to host network";
constexpr const char* kAttachWithNone =
    "container cannot be connected to multiple networks with one of the networks in private (none) "
    "mode";

bool is_alone(const std::string& mode) { return mode == "host" || mode.starts_with("container:"); }

/// "net.ipv4.conf.IFNAME.log_martians=1,…" as paths below /proc/sys/net.
std::map<std::string, std::string> sysctls_of(const model::Endpoint& endpoint) {
    std::map<std::string, std::string> settings;
    const auto option = endpoint.config.driver_options.find(std::string(kSysctlOption));
    if (option == endpoint.config.driver_options.end()) return settings;
    std::string_view rest = option->second;
    while (!rest.empty()) {
        const auto end = std::min(rest.find(','), rest.size());
        std::string key(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
        const auto equals = key.find('=');
        const auto place = key.find(".IFNAME.");
        if (equals == std::string::npos || place == std::string::npos || place > equals ||
            !key.starts_with("net.") || key.find('/') != std::string::npos)
            throw Error(ErrorKind::invalid, "invalid {}: '{}'", kSysctlOption, key);
        const std::string value = key.substr(equals + 1);
        std::string name = key.substr(4, place - 4) + "/";
        const std::string setting = key.substr(place + 8, equals - place - 8);
        std::ranges::replace(name, '.', '/');
        settings[name + endpoint.interface + "/" + setting] = value;
    }
    return settings;
}

const std::vector<std::string>& either(const std::vector<std::string>& own,
                                       const std::vector<std::string>& usual) {
    return own.empty() ? usual : own;
}

}  // namespace

void NetworkState::prepare_endpoints(model::ContainerRecord& record) const {
    const std::string& mode = record.host_config.network_mode;
    const Network* own = try_find(mode);
    // One that is missing is kept for the start, which says so.
    record.endpoints[own == nullptr ? mode : own->name];
    for (auto& [name, endpoint] : record.endpoints) {
        const Network* network = try_find(name);
        if (record.endpoints.size() > 1 && network != nullptr && !network->is_bridge())
            throw Error(ErrorKind::invalid, "{}",
                        name == "host" ? kAttachWithHost : kAttachWithNone);
        if (network == nullptr) continue;
        try {
            check_endpoint(*network, endpoint.config);
        } catch (Error& error) {
            throw error.while_("invalid config for network {}", name);
        }
        endpoint.network_id = network->id;
    }
}

void NetworkState::allocate(model::ContainerRecord& record) {
    for (auto& [name, endpoint] : record.endpoints) {
        Network* network = by_name(name);
        if (network == nullptr) throw Error(ErrorKind::not_found, "network {} not found", name);
        allocate_endpoint(*network, record, endpoint);
    }
    for (const NamedEndpoint& entry : ranked(record))
        name_interface(*by_name(*entry.network), record, record.endpoints.at(*entry.network));
}

net::Attachment NetworkState::attachment_of(const model::ContainerRecord& record,
                                            const std::string& network,
                                            const model::Endpoint& endpoint, pid_t pid) const {
    const Settings& settings = deps.context.settings;
    const model::HostConfig& host = record.host_config;
    net::Attachment attachment;
    attachment.container = record.id;
    attachment.network_id = endpoint.network_id;
    attachment.interface = endpoint.interface;
    if (!endpoint.ip_address.empty())
        attachment.address = fmt::format("{}/{}", endpoint.ip_address, endpoint.prefix);
    if (!endpoint.ipv6_address.empty())
        attachment.address_v6 = fmt::format("{}/{}", endpoint.ipv6_address, endpoint.prefix_v6);
    attachment.mac = endpoint.mac_address;
    attachment.pid = pid;
    attachment.sysctls = sysctls_of(endpoint);
    attachment.dns = {either(host.dns, settings.dns), either(host.dns_search, settings.dns_search),
                      either(host.dns_options, settings.dns_options)};
    if (model::is_predefined_network(network)) return attachment;
    attachment.names = dns_names(record, endpoint);
    const auto add_links = [&](const std::vector<std::string>& links) {
        for (const std::string& link : links) {
            const auto [target, alias] = model::split_link(link);
            const std::string name = container_name ? container_name(target) : "";
            attachment.links[alias] = name.empty() ? target : name;
        }
    };
    add_links(endpoint.config.links);
    const Network* own = try_find(host.network_mode);
    if (own != nullptr && own->name == network) add_links(host.links);
    return attachment;
}

std::vector<net::Attachment> NetworkState::attachments_of(const model::ContainerRecord& record,
                                                          pid_t pid) const {
    std::vector<net::Attachment> attachments;
    const Gateways gateways = gateways_of(record);
    for (const NamedEndpoint& entry : ranked(record)) {
        const model::Endpoint& endpoint = *entry.endpoint;
        net::Attachment attachment = attachment_of(record, *entry.network, endpoint, pid);
        if (&endpoint == gateways.v4) attachment.gateway = endpoint.gateway;
        if (&endpoint == gateways.v6) attachment.gateway_v6 = endpoint.gateway_v6;
        attachments.push_back(std::move(attachment));
    }
    return attachments;
}

std::vector<net::PortBinding> NetworkState::ports_of(const model::ContainerRecord& record,
                                                     const Gateways& gateways) const {
    const model::Endpoint* out = gateways.v4 != nullptr ? gateways.v4 : gateways.v6;
    if (out == nullptr) return {};
    const Network* network = try_find(out->network_id);
    return wanted_ports(record, gateways,
                        network == nullptr ? "" : network->options.publish_address);
}

async::Task<void> NetworkState::publish_ports(model::ContainerRecord& record,
                                              std::vector<net::PortBinding> ports,
                                              Sandbox sandbox) {
    net::PublishedPorts published{record.id, std::move(ports)};
    published.output = deps.context.settings.data_root + "/containers/" + record.id;
    net::Request request = net::Publish{std::move(published)};
    std::vector<BorrowedFd> fds;
    fds.push_back(sandbox.network_namespace);
    const net::Reply reply = co_await process.call(std::move(request), std::move(fds));
    // Those of a container that ended meanwhile went with it.
    if (is_plugged(record)) record.bound_ports = bound_ports(reply.bindings);
}

async::Task<void> NetworkState::attach(model::ContainerRecord& record, Sandbox sandbox) {
    if (is_alone(record.host_config.network_mode)) co_return;
    std::vector<BorrowedFd> fds;
    fds.push_back(sandbox.network_namespace);
    std::vector<net::Attachment> attachments = attachments_of(record, sandbox.pid);
    if (attachments.empty()) {
        net::Request request = net::Loopback{};
        co_await process.call(std::move(request), std::move(fds));
        co_return;
    }
    for (net::Attachment& attachment : attachments) {
        net::Request attach = net::Attach{std::move(attachment)};
        co_await process.call(std::move(attach), fds);
    }
    const Gateways gateways = gateways_of(record);
    std::vector<net::PortBinding> ports = ports_of(record, gateways);
    if (ports.empty()) co_return;
    try {
        co_await publish_ports(record, std::move(ports), sandbox);
    } catch (Error& error) {
        const model::Endpoint* out = gateways.v4 != nullptr ? gateways.v4 : gateways.v6;
        throw error.while_("driver failed programming external connectivity on endpoint {} ({})",
                           record.name, out->endpoint_id);
    }
}

// After a network came or before it goes: routes and ports follow the endpoint that leads outside.
async::Task<void> NetworkState::move_routes(model::ContainerRecord& record, Gateways gateways,
                                            Sandbox sandbox) {
    net::SetDefaultRoute route;
    route.container = record.id;
    if (gateways.v4 != nullptr) {
        route.gateway = gateways.v4->gateway;
        route.interface = gateways.v4->interface;
    }
    if (gateways.v6 != nullptr) {
        route.gateway_v6 = gateways.v6->gateway_v6;
        route.interface_v6 = gateways.v6->interface;
    }
    std::vector<BorrowedFd> fds;
    fds.push_back(sandbox.network_namespace);
    net::Request request = std::move(route);
    co_await process.call(std::move(request), std::move(fds));
    if (!is_plugged(record)) co_return;  // it ended meanwhile
    std::vector<net::PortBinding> ports =
        record.bound_ports.empty() ? ports_of(record, gateways) : moved_ports(record, gateways);
    if (!ports.empty() || !record.bound_ports.empty())
        co_await publish_ports(record, std::move(ports), sandbox);
}

// After `failure` routes and ports are as they were. Gives the error to throw, which says so if
// they are not.
async::Task<std::exception_ptr> NetworkState::move_back(model::ContainerRecord& record,
                                                        Gateways former, Sandbox sandbox,
                                                        std::exception_ptr failure) {
    std::optional<Error> stuck;
    try {
        if (is_plugged(record)) co_await move_routes(record, former, sandbox);
    } catch (const Error& error) {
        stuck = error;
    }
    if (!stuck) co_return failure;
    try {
        std::rethrow_exception(failure);
    } catch (const Error& error) {
        co_return std::make_exception_ptr(
            Error(error.kind(), "{}; the former default route of container {} is not back: {}",
                  error.message(), record.id.substr(0, 12), stuck->message()));
    } catch (...) {
        co_return std::current_exception();
    }
}

// Takes away what a connect that failed may have made.
async::Task<void> NetworkState::undo_connect(std::string container, model::Endpoint endpoint) {
    if (endpoint.interface.empty()) co_return;
    net::Detach detach{std::move(container), endpoint.network_id, true};
    net::Request request = std::move(detach);
    try {
        co_await process.call(std::move(request));
    } catch (const Error& error) {
        log::warn("taking back an interface: {}", error.message());
    }
}

async::Task<void> NetworkState::connect(model::ContainerRecord& record, std::string name,
                                        Sandbox sandbox) {
    Network* network = by_name(name);
    if (network == nullptr) throw Error(ErrorKind::not_found, "network {} not found", name);
    model::Endpoint& endpoint = record.endpoints.at(name);
    const Gateways before = gateways_of(record);
    model::Endpoint made;
    std::exception_ptr failure;
    try {
        allocate_endpoint(*network, record, endpoint);
        name_interface(*network, record, endpoint);
        made = endpoint;
        net::Request attach = net::Attach{attachment_of(record, name, endpoint, sandbox.pid)};
        std::vector<BorrowedFd> fds;
        fds.push_back(sandbox.network_namespace);
        co_await process.call(std::move(attach), std::move(fds));
        const Gateways now = gateways_of(record);
        if (is_plugged(record) && now != before) co_await move_routes(record, now, sandbox);
    } catch (...) {
        failure = std::current_exception();
    }
    // A container that ended meanwhile has the network from its next start on.
    const bool ended = !made.interface.empty() && endpoint.endpoint_id != made.endpoint_id;
    if (!failure && !ended) co_return;
    const bool moved = gateways_of(record) != before;
    if (network = by_name(name); network != nullptr) release_endpoint(*network, endpoint);
    if (failure && moved && !ended) failure = co_await move_back(record, before, sandbox, failure);
    co_await undo_connect(record.id, made);
    if (failure && !ended) std::rethrow_exception(failure);
}

async::Task<void> NetworkState::disconnect(model::ContainerRecord& record, std::string name,
                                           Sandbox sandbox) {
    const model::Endpoint& leaving = record.endpoints.at(name);
    const Gateways before = gateways_of(record);
    const Gateways after = gateways_of(record, &leaving);
    const bool moves = sandbox.network_namespace && after != before;
    std::exception_ptr failure;
    try {
        if (moves) co_await move_routes(record, after, sandbox);
        net::Detach detach{record.id, leaving.network_id, true};
        net::Request request = std::move(detach);
        co_await process.call(std::move(request));
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        if (moves) failure = co_await move_back(record, before, sandbox, failure);
        std::rethrow_exception(failure);
    }
    // As it is now: a container that ended meanwhile has given its addresses back, and they may be
    // another's.
    model::Endpoint& endpoint = record.endpoints.at(name);
    if (Network* network = by_name(name)) release_endpoint(*network, endpoint);
    record.endpoints.erase(name);
}

async::Task<void> NetworkState::rename(const model::ContainerRecord& record, Sandbox sandbox) {
    std::vector<net::Attachment> attachments = attachments_of(record, sandbox.pid);
    std::vector<BorrowedFd> fds;
    fds.push_back(sandbox.network_namespace);
    for (net::Attachment& attachment : attachments) {
        if (attachment.names.empty()) continue;
        net::Request attach = net::Attach{std::move(attachment)};
        co_await process.call(std::move(attach), fds);
    }
}

void NetworkState::release(model::ContainerRecord& record, NamespaceEnd end) {
    // A disconnect from the last network, when the process had just ended, leaves only these.
    bool plugged_in = !record.bound_ports.empty();
    for (auto& [name, endpoint] : record.endpoints) {
        plugged_in |= !endpoint.interface.empty();
        if (Network* network = by_name(name)) release_endpoint(*network, endpoint);
        model::forget_addresses(endpoint);
    }
    record.bound_ports.clear();
    if (plugged_in) deps.context.tasks.spawn("network release", release_remote(record.id, end));
}

// One request, so that it is in line before the next start's.
async::Task<void> NetworkState::release_remote(std::string container, NamespaceEnd end) {
    net::Request release = net::Release{std::move(container), end == NamespaceEnd::shared};
    co_await process.call(std::move(release));
}

void NetworkState::adopt(const model::ContainerRecord& record) {
    for (const auto& [name, endpoint] : record.endpoints)
        if (Network* network = by_name(name)) adopt_endpoint(*network, endpoint);
}

}  // namespace berth::engine
