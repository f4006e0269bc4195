#include "engine/containers/start.h"

#include <algorithm>
#include <cctype>

#include "base/log.h"
#include "base/text.h"
#include "engine/containers/cgroup.h"
#include "engine/containers/connect.h"
#include "engine/containers/exit.h"
#include "engine/containers/health.h"
#include "engine/containers/links.h"
#include "engine/containers/prepare.h"
#include "engine/containers/remove.h"
#include "engine/containers/slice_scope.h"
#include "engine/containers/wait.h"
#include "engine/network/state.h"
#include "engine/volume/state.h"

namespace berth::engine {

namespace {

constexpr std::chrono::seconds kShimStopsWithin{10};
// Docker's words; an errno text behind the first two says nothing of the container's command.
constexpr std::string_view kNetworkFailure = "failed to set up container networking";
constexpr std::string_view kLogFailure = "failed to initialize logging driver";
constexpr const char* kRuntimeFailure =
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "unable to start container process";

void check_ipc_donor(const ContainerState& state, const std::string& mode) {
    if (!mode.starts_with("container:")) return;
    const ContainerPtr donor = state.find(mode.substr(10));
    const std::string& own = donor->record.host_config.ipc_mode;
    if (own == "private" || own == "none")
        throw Error(ErrorKind::invalid,
                    "failed to join IPC namespace: container {}: non-shareable IPC (hint: use "
                    "IpcMode:shareable for the donor container)",
                    donor->id());
}

/// Namespaces that the container takes from others, as /proc paths.
std::map<std::string, std::string> joined_namespaces(const ContainerState& state,
                                                     const model::HostConfig& host) {
    std::map<std::string, std::string> joined;
    const auto join = [&](const std::string& mode, const char* type, const char* file) {
        if (!mode.starts_with("container:")) return;
        const ContainerPtr other = state.find(mode.substr(10));
        if (!other->record.state.has_process())
            throw Error(ErrorKind::conflict, "cannot join {} of a non running container: {}", type,
                        other->record.id);
        joined[type] = fmt::format("/proc/{}/ns/{}", other->record.state.pid, file);
    };
    join(host.network_mode, "network", "net");
    check_ipc_donor(state, host.ipc_mode);
    join(host.ipc_mode, "ipc", "ipc");
    join(host.pid_mode, "pid", "pid");
    return joined;
}

/// The container whose network it has: its own, or that at the end of a chain of container:X.
std::string network_owner(const ContainerState& state, const model::ContainerRecord& record) {
    const model::ContainerRecord* owner = &record;
    while (owner->host_config.network_mode.starts_with("container:"))
        owner = &state.find(owner->host_config.network_mode.substr(10))->record;
    return owner->id;
}

/// Process 1 of the container whose IPC namespace this one takes.
int ipc_process(const ContainerState& state, const model::HostConfig& host) {
    if (!host.ipc_mode.starts_with("container:")) return 0;
    return state.find(host.ipc_mode.substr(10))->record.state.pid;
}

void publish_volumes(const ContainerState& state, const Container& container) {
    for (const model::MountPoint& mount : container.record.mounts)
        if (mount.type == model::MountType::volume)
            state.deps.volumes.publish(mount.name, "mount",
                                       {{"container", container.record.id},
                                        {"destination", mount.destination},
                                        {"read/write", mount.read_write ? "true" : "false"},
                                        {"propagation", mount.propagation}});
}

async::Task<void> hand_over_clients(Container& container) {
    std::list<QueuedAttach> queued = std::move(container.queued);
    container.queued.clear();
    for (QueuedAttach& attach : queued)
        co_await container.shim->attach(std::move(attach.streams), attach.client.borrow());
}

void allocate_networks(const ContainerState& state, Container& container) {
    try {
        state.deps.networks.allocate(container.record);
    } catch (Error& error) {
        throw error.while_("{}", kNetworkFailure);
    }
}

async::Task<void> connect_network(ContainerState& state, Container& container,
                                  const CreatedProcess& created) {
    try {
        co_await state.deps.networks.attach(container.record,
                                            {created.network_namespace, created.pid});
    } catch (Error& error) {
        throw error.while_("{}", kNetworkFailure);
    }
    state.publish_networks(container, "connect");
}

async::Task<CreatedProcess> create_process(Container& container) {
    try {
        co_return co_await container.shim->create();
    } catch (Error& error) {
        if (error.message().starts_with(kLogFailure)) throw;
        throw error.while_("{}", kRuntimeFailure);
    }
}

/// Everything from the empty run directory to a running process 1.
async::Task<void> bring_up(ContainerState& state, ContainerPtr container) {
    const std::string run_directory = state.run_directory(container->id());
    allocate_networks(state, *container);
    container->state().cgroup = choose_cgroup(container->record, state.settings());
    for (const model::MountPoint& mount : container->record.mounts)
        if (mount.type == model::MountType::volume) co_await state.deps.volumes.mount(mount.name);
    StartWork work{.record = container->record,
                   .settings = state.settings(),
                   .storage = state.deps.context.storage,
                   .directory = state.directory(container->id()),
                   .run_directory = run_directory,
                   .joined = joined_namespaces(state, container->record.host_config),
                   .network_owner = network_owner(state, container->record),
                   .ipc_process = ipc_process(state, container->record.host_config),
                   .links = running_links(state, container->record),
                   .cgroup = container->state().cgroup,
                   .abilities = state.deps.abilities,
                   .secret_variables = container->secret_variables};
    co_await state.deps.context.pool.run(std::move(work));
    container->shim =
        ShimClient::spawn(state.deps.context.executor, state.deps.context.tasks, run_directory,
                          state.settings().cgroup.support, shim_handlers(state, container));
    if (std::string slice = slice_of(container->record, state.settings()); !slice.empty()) {
        SliceScope scope{std::move(slice), container->id(), container->state().cgroup,
                         container->shim->pid()};
        co_await state.deps.context.pool.run(std::move(scope));
    }
    CreatedProcess created = co_await create_process(*container);
    publish_volumes(state, *container);
    co_await connect_network(state, *container, created);
    // From here on an attaching client goes to the shim at once.
    container->takes_clients = true;
    co_await hand_over_clients(*container);
    // Before the first output: `logs --since StartedAt` shows all of this run.
    const Timestamp started_at = Timestamp::now();
    co_await container->shim->start();
    container->process = std::move(created.pidfd);
    model::State& now = container->state();
    now.status = model::Status::running;
    now.pid = created.pid;
    now.started_at = started_at;
}

/// Takes back what a failed start has made.
async::Task<void> tear_down(ContainerState& state, ContainerPtr container) {
    if (container->shim) {
        try {
            co_await container->shim->shutdown();
        } catch (const Error&) {
            // It went by itself; what it left is removed below.
        }
        co_await container->shim->wait_gone(std::chrono::steady_clock::now() + kShimStopsWithin);
        container->shim.reset();
    }
    container->process.reset();
    container->takes_clients = false;
    container->early_exit.reset();
    container->queued.clear();
    state.publish_networks(*container, "disconnect");
    state.deps.networks.release(container->record);
    const std::string directory = state.run_directory(container->id());
    const std::string cgroup = std::exchange(container->state().cgroup, "");
    auto job = [directory, cgroup, &delegation = state.settings().cgroup] {
        remove_cgroup(cgroup, delegation);
        remove_tree(directory);
    };
    co_await state.deps.context.pool.run(std::move(job));
    co_await unmount_volumes(state, container);
}

bool is_command_fault(int code) { return code == 126 || code == 127; }

async::Task<void> start_failed(ContainerState& state, ContainerPtr container, Error error) {
    co_await tear_down(state, container);
    const int code = start_failure_code(error.message());
    model::State& now = container->state();
    now.exit_code = code;
    now.error = error.message();
    state.save_event(*container);
    container->changed.notify_all();
    finish_exit_waits(*container, {code, error.message()});
    if (container->record.host_config.auto_remove && !container->keep_after_exit) {
        const RemoveOptions options{.force = true, .volumes = true, .link = false};
        co_await remove_locked(state, container, options);
    }
    if (is_command_fault(code)) throw Error::with_text(ErrorKind::invalid, error.message());
    throw error;
}

}  // namespace

int start_failure_code(const std::string& message) {
    const std::string text = to_lower(message);
    if (text.starts_with(kNetworkFailure) || text.starts_with(kLogFailure)) return 128;
    const auto has = [&](const char* words) { return text.find(words) != std::string::npos; };
    if (has("executable file not found") || has("no such file or directory") ||
        has("not a directory"))
        return 127;
    if (has("permission denied") || has("is a directory")) return 126;
    return 128;
}

ShimHandlers shim_handlers(ContainerState& state, const ContainerPtr& container) {
    // The handlers live in the shim client that the container owns: no strong reference to it.
    const std::weak_ptr<Container> weak = container;
    ShimHandlers handlers;
    handlers.on_exit = [&state, weak](const shim::ExitEvent& event) {
        if (const ContainerPtr c = weak.lock()) handle_exit(state, c, event);
    };
    handlers.on_exec_exit = [&state, weak](const shim::ExecExitEvent& event) {
        if (state.on_exec_exit) state.on_exec_exit(event);
        const ContainerPtr c = weak.lock();
        if (c && c->shim) c->shim->acknowledge({event.exec_id});
    };
    handlers.on_detached = [&state, weak](const shim::DetachedEvent& event) {
        const ContainerPtr c = weak.lock();
        if (event.exec_id && state.on_exec_detached) state.on_exec_detached(*event.exec_id);
        if (!event.exec_id && c) state.publish(*c, "detach");
    };
    handlers.on_oom = [&state, weak] {
        if (const ContainerPtr c = weak.lock()) record_oom(state, *c);
    };
    handlers.on_closed = [&state, weak] {
        if (const ContainerPtr c = weak.lock()) handle_shim_loss(state, c);
    };
    return handlers;
}

async::Task<void> start_locked(ContainerState& state, ContainerPtr container) {
    if (state.shutting_down) throw Error(ErrorKind::unavailable, "the engine is shutting down");
    co_await wait_cleaned_up(*container);
    // What `docker restart` kept from the last run does not hold for this one.
    container->keep_after_exit = false;
    model::State& now = container->state();
    const model::State before = now;
    now.exit_code = 0;
    now.error.clear();
    now.oom_killed = false;
    container->starting = true;
    std::optional<Error> failure;
    try {
        co_await bring_up(state, container);
    } catch (...) {
        failure = async::to_error(std::current_exception());
    }
    container->starting = false;
    if (failure) {
        now.status =
            before.status == model::Status::restarting ? model::Status::exited : before.status;
        log::debug("start of {}: {}", container->id().substr(0, 12), failure->message());
        co_await start_failed(state, container, *failure);
    }
    container->record.has_been_started = true;
    begin_health(state, container);
    state.save_event(*container);
    container->changed.notify_all();
    state.publish(*container, "start");
    update_linking_containers(state, *container);
    if (!container->early_exit) co_return;
    const shim::ExitEvent exit = *container->early_exit;
    container->early_exit.reset();
    handle_exit(state, container, exit);
}

async::Task<void> start_by_hand(ContainerState& state, ContainerPtr container) {
    const async::Lock::Guard guard = co_await container->operations.acquire();
    if (container->removing || container->state().status == model::Status::dead)
        throw Error(ErrorKind::conflict,
                    "container is marked for removal and cannot be started: {}", container->id());
    if (container->state().status == model::Status::paused)
        throw Error(ErrorKind::conflict, "cannot start a paused container, try unpause instead");
    if (container->state().status == model::Status::running)
        throw Error(ErrorKind::not_modified, "container {} is already running", container->id());
    cancel_restart(state, *container);
    container->record.manually_stopped = false;
    container->record.restart_count = 0;
    container->backoff.reset();
    co_await start_locked(state, container);
}

}  // namespace berth::engine
