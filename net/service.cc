#include "net/service.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace berth::net {
namespace {

PortRange ephemeral_ports() {
    return parse_port_range(
        read_file_if_exists("/proc/sys/net/ipv4/ip_local_port_range").value_or(""));
}

BorrowedFd only_descriptor(const std::vector<UniqueFd>& fds) {
    if (fds.size() != 1)
        throw Error(ErrorKind::invalid, "expected one descriptor, found {}", fds.size());
    return fds.front();
}

bool is_same_interface(const Attachment& a, const Attachment& b) {
    return a.interface == b.interface && a.address == b.address && a.address_v6 == b.address_v6 &&
           a.mac == b.mac;
}

std::uint64_t inode_of(BorrowedFd file) {
    struct stat status {};
    if (::fstat(file.get(), &status) < 0) throw_errno("looking at a network namespace");
    return status.st_ino;
}

bool is_in_namespace(std::int64_t pid, std::uint64_t inode) {
    if (pid <= 0) return false;
    try {
        return inode_of(open_file(fmt::format("/proc/{}/ns/net", pid), O_RDONLY)) == inode;
    } catch (const Error&) {  // it has ended
        return false;
    }
}

bool has_same_host_side(const PortBinding& a, const PortBinding& b) {
    return a.transport == b.transport && a.host_ip == b.host_ip && a.host_port == b.host_port &&
           a.container_port == b.container_port;
}

std::string short_id(const std::string& id) { return id.substr(0, 12); }

}  // namespace

Service::Service(ContainerSide& side, RelayLoop& relays, const ProcessConfig& config)
    : side_(side), relays_(relays), state_file_(config.state_file), ports_(ephemeral_ports()) {}

NetworkState Service::read_state() const {
    try {
        if (const auto text = read_file_if_exists(state_file_)) return decode_state(*text);
    } catch (const Error& error) {
        log::error("the state of the previous network process is lost: {}", error.message());
    }
    return {};
}

void Service::restore() {
    const NetworkState old = read_state();
    for (const NetworkSpec& spec : old.networks) {
        try {
            side_.ensure_bridge(spec);
            networks_.push_back(spec);
        } catch (const Error& error) {
            log::error("network={} is lost: {}", spec.name, error.message());
        }
    }
    side_.apply_firewall(networks_);
    tell_networks();
    if (networks_.empty()) return;
    for (Attachment attachment : old.attachments) {
        if (!is_known(attachment.network_id) || !side_.is_attached(attachment)) continue;
        // Its number may be another process's by now: then the engine says who it is.
        if (!is_in_namespace(attachment.pid, attachment.namespace_inode)) attachment.pid = 0;
        attachments_.push_back(attachment);
        for (NetworkWatcher* watcher : watchers_)
            watcher->on_restored(network(attachment.network_id), attachment);
    }
    const auto is_alive = [&](const std::string& container) {
        return std::ranges::any_of(
            attachments_, [&](const Attachment& known) { return known.container == container; });
    };
    for (const PublishedPorts& ports : old.bindings) {
        if (!is_alive(ports.container)) continue;
        try {
            publish(ports, {});
        } catch (const Error& error) {
            log::error("container={} its published ports are lost: {}", short_id(ports.container),
                       error.message());
        }
    }
    changed_ = true;
    log::info("adopted {} networks, {} interfaces, ports of {} containers", networks_.size(),
              attachments_.size(), published_.size());
}

void Service::save() {
    if (!std::exchange(changed_, false)) return;
    try {
        replace_file(state_file_, encode_state(state()), 0600, Durability::process);
    } catch (const Error& error) {
        log::error("the network state is not saved: {}", error.message());
    }
}

void Service::forget() { remove_tree(state_file_); }

std::string Service::handle(const std::string& request, const std::vector<UniqueFd>& fds) {
    std::int64_t seq = 0;
    try {
        seq = sequence_of(request);
        return answer(decode_request(request), fds);
    } catch (const Error& error) {
        return encode_error_reply(seq, error);
    } catch (const std::exception& error) {
        return encode_error_reply(seq, Error(ErrorKind::internal, "{}", error.what()));
    }
}

std::string Service::answer(const NumberedRequest& numbered, const std::vector<UniqueFd>& fds) {
    const Request& request = numbered.request;
    const std::int64_t seq = numbered.seq;
    if (const auto* r = std::get_if<EnsureNetwork>(&request)) ensure_network(r->network);
    if (const auto* r = std::get_if<RemoveNetwork>(&request)) remove_network(r->id);
    if (const auto* r = std::get_if<Attach>(&request)) attach(r->attachment, only_descriptor(fds));
    if (std::holds_alternative<Loopback>(request)) side_.set_loopback_up(only_descriptor(fds));
    if (const auto* r = std::get_if<Detach>(&request)) detach(*r);
    if (const auto* r = std::get_if<SetDefaultRoute>(&request))
        side_.set_default_route(*r, only_descriptor(fds));
    if (const auto* r = std::get_if<Release>(&request)) release(*r);
    if (const auto* r = std::get_if<Keep>(&request)) keep(*r);
    if (const auto* r = std::get_if<Unpublish>(&request)) unpublish(r->container);
    if (const auto* r = std::get_if<Publish>(&request)) {
        const auto known = published_.find(r->ports.container);
        if (r->unless_published && known != published_.end())
            return encode_bindings_reply(seq, known->second.bindings);
        return encode_bindings_reply(seq,
                                     publish(r->ports, fds.empty() ? BorrowedFd{} : fds.front()));
    }
    if (std::holds_alternative<GetState>(request)) return encode_state_reply(seq, state());
    return encode_empty_reply(seq);
}

void Service::tell_networks() const {
    for (NetworkWatcher* watcher : watchers_) watcher->on_networks(networks_);
}

void Service::drop_attachments(const std::function<bool(const Attachment&)>& which) {
    std::vector<Attachment> dropped;
    std::ranges::copy_if(attachments_, std::back_inserter(dropped), which);
    std::erase_if(attachments_, which);
    for (const Attachment& attachment : dropped)
        for (NetworkWatcher* watcher : watchers_) watcher->on_detached(attachment);
}

bool Service::is_known(const std::string& id) const {
    return std::ranges::find(networks_, id, &NetworkSpec::id) != networks_.end();
}

const NetworkSpec& Service::network(const std::string& id) const {
    const auto found = std::ranges::find(networks_, id, &NetworkSpec::id);
    if (found == networks_.end()) throw Error(ErrorKind::not_found, "network {} not found", id);
    return *found;
}

void Service::ensure_network(const NetworkSpec& spec) {
    const auto known = std::ranges::find(networks_, spec.id, &NetworkSpec::id);
    if (known != networks_.end() && *known == spec) return;
    const auto clash = std::ranges::find_if(networks_, [&](const NetworkSpec& other) {
        return other.bridge == spec.bridge && other.id != spec.id;
    });
    if (clash != networks_.end())
        throw Error(ErrorKind::conflict, "bridge name {} is already used by network {}",
                    spec.bridge, clash->name);
    side_.ensure_bridge(spec);
    std::vector<NetworkSpec> wanted = networks_;
    std::erase_if(wanted, [&](const NetworkSpec& other) { return other.id == spec.id; });
    wanted.push_back(spec);
    try {
        side_.apply_firewall(wanted);
    } catch (...) {
        if (known == networks_.end()) side_.remove_bridge(spec.bridge);
        throw;
    }
    networks_ = std::move(wanted);
    changed_ = true;
    tell_networks();
}

void Service::remove_network(const std::string& id) {
    const auto found = std::ranges::find(networks_, id, &NetworkSpec::id);
    if (found == networks_.end()) return;
    std::vector<NetworkSpec> left = networks_;
    std::erase_if(left, [&](const NetworkSpec& known) { return known.id == id; });
    // First, since it may fail: then the network is as it was.
    side_.apply_firewall(left);
    side_.remove_bridge(found->bridge);
    networks_ = std::move(left);
    drop_attachments([&](const Attachment& known) { return known.network_id == id; });
    changed_ = true;
    tell_networks();
}

void Service::attach(const Attachment& attachment, BorrowedFd network_namespace) {
    const NetworkSpec& target = network(attachment.network_id);
    const auto known = std::ranges::find_if(attachments_, [&](const Attachment& other) {
        return other.container == attachment.container &&
               other.network_id == attachment.network_id && is_same_interface(other, attachment);
    });
    // Told again: names changed, or the engine goes over what a new network process has.
    const bool stands = known != attachments_.end() && side_.is_attached(attachment) &&
                        side_.is_inside(attachment.interface, network_namespace);
    if (!stands) side_.attach(target, attachment, network_namespace);
    std::erase_if(attachments_, [&](const Attachment& other) {
        return other.container == attachment.container && other.network_id == attachment.network_id;
    });
    attachments_.push_back(attachment);
    attachments_.back().namespace_inode = inode_of(network_namespace);
    changed_ = true;
    for (NetworkWatcher* watcher : watchers_)
        watcher->on_attached(target, attachment, network_namespace);
    follow_restored(attachment.container, network_namespace);
}

// Ports that this process restored could not be followed inside without the namespace.
void Service::follow_restored(const std::string& container, BorrowedFd network_namespace) {
    const auto found = published_.find(container);
    if (found == published_.end() || found->second.followed) return;
    auto inside = inside_of(container, network_namespace);
    if (!inside) return;
    found->second.pid = inside->process.pid();
    found->second.followed = relays_.follow(container, found->second.output, std::move(*inside));
}

void Service::detach(const Detach& request) {
    if (request.remove_interface) side_.remove_interface(request.container, request.network_id);
    drop_attachments([&](const Attachment& known) {
        return known.container == request.container && known.network_id == request.network_id;
    });
    changed_ = true;
}

void Service::release(const Release& request) {
    unpublish(request.container);
    for (const Attachment& known : attachments_)
        if (request.remove_interfaces && known.container == request.container)
            side_.remove_interface(known.container, known.network_id);
    drop_attachments([&](const Attachment& known) { return known.container == request.container; });
    changed_ = true;
}

void Service::keep(const Keep& wanted) {
    const auto is_gone = [](const std::vector<std::string>& ids, const std::string& id) {
        return std::ranges::find(ids, id) == ids.end();
    };
    std::vector<std::string> containers, networks;
    for (const auto& [container, published] : published_)
        if (is_gone(wanted.containers, container)) containers.push_back(container);
    for (const std::string& container : containers) unpublish(container);
    drop_attachments(
        [&](const Attachment& known) { return is_gone(wanted.containers, known.container); });
    for (const NetworkSpec& spec : networks_)
        if (is_gone(wanted.networks, spec.id)) networks.push_back(spec.id);
    for (const std::string& id : networks) remove_network(id);
    // One that a former process made or removed, and was killed before it wrote that down.
    std::set<std::string> bridges;
    for (const std::string& id : wanted.networks) bridges.insert("br-" + id.substr(0, 12));
    for (const NetworkSpec& spec : networks_) bridges.insert(spec.bridge);
    side_.remove_bridges_except(bridges);
    changed_ = true;
}

std::int64_t Service::process_of(const std::string& container) const {
    const auto known = std::ranges::find_if(attachments_, [&](const Attachment& attachment) {
        return attachment.container == container && attachment.pid > 0;
    });
    return known == attachments_.end() ? 0 : known->pid;
}

std::optional<ListenProbe::Target> Service::inside_of(const std::string& container,
                                                      BorrowedFd network_namespace) const {
    const std::int64_t pid = process_of(container);
    if (pid == 0) return std::nullopt;
    try {
        return ListenProbe::Target{linux_os::PidFd::open(static_cast<pid_t>(pid)),
                                   network_namespace};
    } catch (const Error&) {  // it has ended already
        return std::nullopt;
    }
}

// Clients of a container whose way out moves notice nothing, and nobody can take a port meanwhile.
bool Service::retarget(const PublishedPorts& ports) {
    const auto found = published_.find(ports.container);
    if (found == published_.end() || found->second.pid != process_of(ports.container)) return false;
    if (!std::ranges::is_permutation(found->second.bindings, ports.bindings, has_same_host_side))
        return false;
    std::vector<PortTarget> targets;
    for (const PortBinding& binding : ports.bindings) {
        const IpAddress host = IpAddress::parse(binding.host_ip);
        targets.push_back(
            {{binding.transport, host, binding.host_port}, target_of(binding, host.family)});
    }
    relays_.retarget(ports.container, targets);
    found->second.bindings = ports.bindings;
    changed_ = true;
    return true;
}

std::vector<PortBinding> Service::publish(const PublishedPorts& ports,
                                          BorrowedFd network_namespace) {
    if (retarget(ports)) return published_.at(ports.container).bindings;
    unpublish(ports.container);
    if (ports.bindings.empty()) return {};
    std::vector<ReservedPort> reserved = reserve_ports(ports_, ports.bindings);
    Published& entry = published_[ports.container];
    entry.output = ports.output;
    entry.pid = process_of(ports.container);
    std::vector<HostSocket> sockets;
    for (ReservedPort& port : reserved) {
        entry.bindings.push_back(port.binding);
        entry.ports.push_back(port.host);
        sockets.push_back(std::move(port.socket));
    }
    try {
        entry.followed = relays_.add({ports.container, std::move(sockets), ports.output},
                                     inside_of(ports.container, network_namespace));
    } catch (...) {
        unpublish(ports.container);
        throw;
    }
    changed_ = true;
    return entry.bindings;
}

void Service::unpublish(const std::string& container) {
    const auto found = published_.find(container);
    if (found == published_.end()) return;
    relays_.remove(container);
    for (const HostPort& port : found->second.ports) ports_.release(port);
    published_.erase(found);
    changed_ = true;
}

NetworkState Service::state() const {
    NetworkState state{networks_, attachments_, {}, {}};
    for (const auto& [container, published] : published_)
        state.bindings.push_back({container, published.bindings, published.output});
    for (const NetworkWatcher* watcher : watchers_)
        if (std::string problem = watcher->problem(); !problem.empty())
            state.warnings.push_back(std::move(problem));
    return state;
}

}  // namespace berth::net
