#include "engine/containers.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "engine/containers/archive.h"
#include "engine/containers/attach.h"
#include "engine/containers/changes.h"
#include "engine/containers/commit.h"
#include "engine/containers/connect.h"
#include "engine/containers/create.h"
#include "engine/containers/files.h"
#include "engine/containers/inspect.h"
#include "engine/containers/logs.h"
#include "engine/containers/pause.h"
#include "engine/containers/reconcile.h"
#include "engine/containers/remove.h"
#include "engine/containers/sizes.h"
#include "engine/containers/start.h"
#include "engine/containers/state.h"
#include "engine/containers/stats.h"
#include "engine/containers/stop.h"
#include "engine/containers/top.h"
#include "engine/containers/update.h"
#include "engine/containers/wait.h"
#include "engine/network/state.h"

namespace berth::engine {

Containers::Containers(ContainerDependencies dependencies)
    : state_(std::make_unique<ContainerState>(std::move(dependencies))) {}
Containers::~Containers() = default;

async::Task<ContainerCreated> Containers::create(model::CreateRequest request,
                                                 CreateOptions options) {
    co_return co_await create_container(*state_, std::move(request), std::move(options));
}

async::Task<void> Containers::start(std::string ref, std::string detach_keys) {
    detach_key_bytes(detach_keys);
    co_await start_by_hand(*state_, state_->find(ref));
}

async::Task<void> Containers::stop(std::string ref, StopOptions options) {
    co_await stop_container(*state_, state_->find(ref), std::move(options));
}

async::Task<void> Containers::restart(std::string ref, StopOptions options) {
    co_await restart_container(*state_, state_->find(ref), std::move(options));
}

async::Task<void> Containers::kill(std::string ref, std::string signal) {
    const ContainerPtr container = state_->find(ref);
    co_await kill_container(*state_, container, std::move(ref), std::move(signal));
}

async::Task<void> Containers::pause(std::string ref) {
    co_await pause_container(*state_, state_->find(ref));
}

async::Task<void> Containers::unpause(std::string ref) {
    co_await unpause_container(*state_, state_->find(ref));
}

async::Task<std::vector<std::string>> Containers::update(std::string ref,
                                                         model::UpdateRequest request) {
    co_return co_await update_container(*state_, state_->find(ref), std::move(request));
}

async::Task<void> Containers::remove(std::string ref, RemoveOptions options) {
    const ContainerPtr container = state_->find(ref);
    // `docker rm --link`: links are not served, so there is none to remove; never the container.
    if (options.link)
        throw Error(ErrorKind::conflict, "conflict: container {} has no link of that name", ref);
    co_await remove_container(*state_, container, std::move(ref), options);
}

async::Task<void> Containers::rename(std::string ref, std::string name) {
    if (name.empty()) throw Error(ErrorKind::invalid, "Neither old nor new names may be empty");
    const ContainerPtr container = state_->find(ref);
    const std::string asked = name;
    if (name.starts_with('/')) name.erase(0, 1);
    if (!Name::is_valid(name))
        throw Error(ErrorKind::invalid,
                    "Error when allocating new name: Invalid container name ({}), only "
                    "[a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                    asked);
    const std::string old = container->record.name;
    if (old == name)
        throw Error(ErrorKind::invalid,
                    "Renaming a container with the same name as its current name");
    const auto [place, added] = state_->names.emplace(name, container->id());
    if (!added)
        throw Error(ErrorKind::conflict,
                    "Error when allocating new name: Conflict. The container name \"/{}\" is "
                    "already in use by container \"{}\". You have to remove (or rename) that "
                    "container to be able to reuse that name.",
                    name, place->second);
    container->record.name = name;
    try {
        state_->save(*container, Durability::power);
    } catch (...) {
        container->record.name = old;
        state_->names.erase(name);
        throw;
    }
    state_->names.erase(old);
    state_->publish(*container, "rename", {{"oldName", "/" + old}});
    state_->deps.context.tasks.spawn("rename in DNS", rename_in_networks(*state_, container));
    co_return;
}

async::Task<void> Containers::resize(std::string ref, std::uint32_t height, std::uint32_t width) {
    const ContainerPtr container = state_->find(ref);
    if (!container->state().has_process() || !container->shim)
        throw Error(ErrorKind::conflict, "container {} is not running", container->id());
    shim::ResizeRequest request;
    request.height = static_cast<std::uint16_t>(height);
    request.width = static_cast<std::uint16_t>(width);
    co_await container->shim->resize(std::move(request));
    state_->publish(*container, "resize",
                    {{"height", std::to_string(height)}, {"width", std::to_string(width)}});
}

async::Task<void> Containers::connect(std::string network, nlohmann::json body) {
    const JsonReader r(body, "", KeyCase::any);
    model::EndpointConfig config;
    if (const nlohmann::json* sent = r.find("EndpointConfig"))
        config = model::endpoint_config_from(*sent);
    // Named first: an unknown network is the answer even when the container is unknown as well.
    state_->deps.networks.find(network);
    co_await connect_container(*state_, state_->find(r.string("Container")), std::move(network),
                               std::move(config));
}

async::Task<void> Containers::disconnect(std::string network, nlohmann::json body) {
    const JsonReader r(body, "", KeyCase::any);
    r.boolean("Force", false);  // there are no stale endpoints, but it must be what it says
    co_await disconnect_container(*state_, state_->find(r.string("Container")), std::move(network));
}

Wait Containers::wait(const std::string& ref, WaitCondition condition) {
    return begin_wait(*state_->find(ref), condition);
}

StreamKind Containers::check_attach(const std::string& ref, const AttachRequest& request) const {
    return check_attach_request(*state_->find(ref), request);
}

async::Task<void> Containers::attach(std::string ref, AttachRequest request, UniqueFd client,
                                     std::string early) {
    co_await attach_client(*state_, state_->find(ref), std::move(request), std::move(client),
                           std::move(early));
}

std::unique_ptr<LogStream> Containers::logs(const std::string& ref, const LogRequest& request) {
    return open_log(*state_, *state_->find(ref), request);
}

std::unique_ptr<StatsStream> Containers::stats(const std::string& ref, StatsMode mode) {
    return open_stats(*state_, state_->find(ref), mode);
}

async::Task<nlohmann::json> Containers::top(std::string ref, std::string ps_arguments) {
    co_return co_await list_processes(*state_, state_->find(ref), std::move(ps_arguments));
}

async::Task<PathStat> Containers::stat_path(std::string ref, std::string path) {
    const ContainerPtr container = state_->find(ref);
    co_return co_await engine::stat_path(*state_, container, std::move(ref), std::move(path));
}

async::Task<OpenedArchive> Containers::open_archive(std::string ref, std::string path) {
    const ContainerPtr container = state_->find(ref);
    co_return co_await engine::open_archive(*state_, container, std::move(ref), std::move(path));
}

async::Task<void> Containers::send_archive(OpenedArchive archive, UniqueFd into,
                                           std::stop_token stop) {
    co_await engine::send_archive(*state_, std::move(archive.source), std::move(into),
                                  std::move(stop));
}

async::Task<void> Containers::put_archive(std::string ref, ArchivePut request, UniqueFd tar,
                                          std::stop_token stop) {
    const ContainerPtr container = state_->find(ref);
    co_await engine::put_archive(*state_, container, std::move(ref), std::move(request),
                                 std::move(tar), std::move(stop));
}

async::Task<void> Containers::export_root(std::string ref, UniqueFd into, std::stop_token stop) {
    co_await engine::export_root(*state_, state_->find(ref), std::move(into), std::move(stop));
}

async::Task<nlohmann::json> Containers::changes(std::string ref) {
    co_return co_await changes_json(*state_, state_->find(ref));
}

async::Task<std::string> Containers::commit(std::string ref, CommitRequest request,
                                            std::stop_token stop) {
    co_return co_await commit_container(*state_, state_->find(ref), std::move(request),
                                        std::move(stop));
}

async::Task<nlohmann::json> Containers::list(ListRequest request) {
    const Timestamp now = Timestamp::now();
    nlohmann::json result = nlohmann::json::array();
    std::vector<ContainerPtr> selected = select_containers(*state_, request);
    for (const ContainerPtr& container : selected)
        result.push_back(list_json(*state_, *container, now));
    if (request.size == WithSize::no) co_return result;
    const std::vector<Sizes> sizes = co_await sizes_of(*state_, std::move(selected));
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        result[i]["SizeRw"] = sizes[i].writable;
        result[i]["SizeRootFs"] = sizes[i].root;
    }
    co_return result;
}

async::Task<nlohmann::json> Containers::inspect(std::string ref, WithSize size) {
    const ContainerPtr container = state_->find(ref);
    nlohmann::json result = inspect_json(*state_, *container);
    if (size == WithSize::yes) {
        const Sizes sizes = co_await sizes_of(*state_, container);
        result["SizeRw"] = sizes.writable;
        result["SizeRootFs"] = sizes.root;
    }
    co_return result;
}

async::Task<void> Containers::load() { co_await reconcile(*state_); }
async::Task<void> Containers::shut_down() { co_await stop_all(*state_); }

}  // namespace berth::engine
