#include "engine/containers/connect.h"

#include <fcntl.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/containers/exit.h"
#include "engine/containers/files.h"
#include "engine/containers/links.h"
#include "engine/network/state.h"

namespace berth::engine {

namespace {

// Texts of Docker that clients show as they are.
constexpr const char* kWithHost =
    "container cannot be disconnected from host network or connected to host network";
constexpr const char* kToHost =
    "cannot connect container to host network - container must be created in host network mode";
constexpr const char* kSharing =
    "container sharing network namespace with another container or host cannot be connected to any "
    "other network";
constexpr const char* kWithNone =
    "container cannot be connected to multiple networks with one of the networks in private (none) "
    "mode";

bool runs(const Container& container) {
    const model::State& now = container.record.state;
    return now.pid != 0 && now.is_running();
}

void check_not_removed(const Container& container) {
    if (container.removing || container.removed ||
        container.record.state.status == model::Status::dead)
        throw Error(ErrorKind::conflict,
                    "container {} is marked for removal and cannot be connected or disconnected to "
                    "the network",
                    container.record.id);
}

void check_modes(const model::ContainerRecord& record, const Network& network) {
    const std::string& mode = record.host_config.network_mode;
    if (mode == "host") throw Error(ErrorKind::invalid, kWithHost);
    if (network.driver == "host") throw Error(ErrorKind::invalid, kToHost);
    if (mode.starts_with("container:")) throw Error(ErrorKind::invalid, kSharing);
    if (network.driver == "null" || record.endpoints.contains("none"))
        throw Error(ErrorKind::invalid, kWithNone);
}

/// The texts of hosts and resolv.conf as the engine writes them for a record.
struct FileTexts final {
    std::string hosts, resolv_conf;
};

FileTexts texts_of(const ContainerState& state, const model::ContainerRecord& record) {
    const std::string host_text = read_file_if_exists("/etc/resolv.conf").value_or("");
    return {hosts_text(record, state.settings(), present_links(state, record)),
            resolv_conf_text(record, state.settings(), host_text)};
}

/// In place: the file is mounted into the container.
void rewrite(const std::string& path, const std::string& before, const std::string& after) {
    const std::string now = read_file_if_exists(path).value_or("");
    const std::string wanted = with_changes(now, before, after);
    if (wanted == now) return;
    write_all(open_file(path, O_WRONLY | O_TRUNC), wanted);
}

async::Task<void> update_files(ContainerState& state, const Container& container,
                               FileTexts before) {
    FileTexts after = texts_of(state, container.record);
    auto job = [directory = state.directory(container.record.id), before = std::move(before),
                after = std::move(after)] {
        rewrite(directory + "/hosts", before.hosts, after.hosts);
        rewrite(directory + "/resolv.conf", before.resolv_conf, after.resolv_conf);
    };
    try {
        co_await state.deps.context.pool.run(std::move(job));
    } catch (const Error& error) {
        log::warn("container {}: {}", container.record.id.substr(0, 12), error.message());
    }
}

async::Task<void> move_link(ContainerState& state, std::string directory, model::Link link) {
    auto job = [path = directory + "/hosts", link = std::move(link)] {
        const std::string now = read_file_if_exists(path).value_or("");
        const std::string wanted = with_moved_link(now, link);
        if (wanted != now) write_all(open_file(path, O_WRONLY | O_TRUNC), wanted);
    };
    co_await state.deps.context.pool.run(std::move(job));
}

/// Nothing when it does not run, also when it has ended and the news of that is still on its way.
async::Task<UniqueFd> network_namespace_of(ContainerPtr container) {
    if (!runs(*container) || has_ended(*container)) co_return UniqueFd{};
    UniqueFd found;
    std::optional<Error> failure;
    try {
        found = open_file(fmt::format("/proc/{}/ns/net", container->record.state.pid), O_RDONLY);
    } catch (const Error& error) {
        failure = error;
    }
    // A process leaves its namespaces a moment before it has ended.
    if (failure && !co_await ends_now(container)) throw *failure;
    // Still the same process, so the path was its own.
    if (has_ended(*container)) co_return UniqueFd{};
    co_return found;
}

async::Task<void> connect_running(ContainerState& state, ContainerPtr container,
                                  std::string network, model::EndpointConfig config,
                                  UniqueFd inside) {
    model::ContainerRecord& record = container->record;
    const auto known = record.endpoints.find(network);
    if (known != record.endpoints.end() && !known->second.endpoint_id.empty())
        throw Error(ErrorKind::denied, "endpoint with name {} already exists in network {}",
                    record.name, network);
    FileTexts before = texts_of(state, record);
    record.endpoints[network].config = std::move(config);
    std::exception_ptr failure;
    try {
        co_await state.deps.networks.connect(record, network, {inside, record.state.pid});
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        record.endpoints.erase(network);
        std::rethrow_exception(failure);
    }
    co_await update_files(state, *container, std::move(before));
    if (const Network* made = state.deps.networks.by_name(network))
        state.deps.networks.publish(*made, "connect", {{"container", record.id}});
}

}  // namespace

async::Task<void> connect_container(ContainerState& state, ContainerPtr container,
                                    std::string network, model::EndpointConfig config) {
    const async::Lock::Guard guard = co_await container->operations.acquire();
    check_not_removed(*container);
    const Network& wanted = state.deps.networks.find(network);
    model::ContainerRecord& record = container->record;
    check_modes(record, wanted);
    check_endpoint(wanted, config);
    const std::string name = wanted.name, id = wanted.id;  // it may go meanwhile
    UniqueFd inside = co_await network_namespace_of(container);
    if (inside) {
        co_await connect_running(state, container, name, std::move(config), std::move(inside));
    } else {
        // One that is connected already keeps its addresses and aliases.
        const auto [place, added] = record.endpoints.try_emplace(name);
        if (!added) co_return;
        place->second.config = std::move(config);
        place->second.network_id = id;
    }
    state.save_event(*container);
}

async::Task<void> disconnect_container(ContainerState& state, ContainerPtr container,
                                       std::string network) {
    const async::Lock::Guard guard = co_await container->operations.acquire();
    check_not_removed(*container);
    model::ContainerRecord& record = container->record;
    // A network that was removed may still be in the record of a container that does not run.
    const bool known = record.endpoints.contains(network);
    const Network* left = state.deps.networks.try_find(network);
    if (left == nullptr && !known)
        throw Error(ErrorKind::not_found, "network {} not found", network);
    const std::string name = left == nullptr ? network : left->name;
    if (left != nullptr && left->driver == "host") throw Error(ErrorKind::invalid, kWithHost);
    if (!record.endpoints.contains(name))
        throw Error(ErrorKind::internal, "container {} is not connected to network {}", record.id,
                    name);
    if (runs(*container) && left != nullptr && left->is_bridge()) {
        const UniqueFd inside = co_await network_namespace_of(container);
        FileTexts before = texts_of(state, record);
        co_await state.deps.networks.disconnect(record, name, {inside, record.state.pid});
        if (inside) co_await update_files(state, *container, std::move(before));
    } else {
        record.endpoints.erase(name);
    }
    state.save_event(*container);
    if (const Network* network_left = state.deps.networks.by_name(name))
        state.deps.networks.publish(*network_left, "disconnect", {{"container", record.id}});
}

void update_linking_containers(ContainerState& state, const Container& container) {
    for (const auto& [id, other] : state.by_id) {
        if (other->record.host_config.links.empty() || !runs(*other)) continue;
        for (model::Link& link : present_links(state, other->record))
            if (link.name == container.record.name)
                state.deps.context.tasks.spawn(
                    "address of a link", move_link(state, state.directory(id), std::move(link)));
    }
}

async::Task<void> rename_in_networks(ContainerState& state, ContainerPtr container) {
    const async::Lock::Guard guard = co_await container->operations.acquire();
    const UniqueFd inside = co_await network_namespace_of(container);
    if (!inside) co_return;
    co_await state.deps.networks.rename(container->record, {inside, container->record.state.pid});
}

}  // namespace berth::engine
