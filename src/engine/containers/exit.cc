#include "engine/containers/exit.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "async/fd_wait.h"
#include "base/log.h"
#include "engine/containers/cgroup.h"
#include "engine/containers/health.h"
#include "engine/containers/remove.h"
#include "engine/containers/start.h"
#include "engine/containers/wait.h"
#include "engine/network/state.h"
#include "engine/volume/state.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"

namespace berth::engine {

namespace {

constexpr std::chrono::seconds kShimEnd{15};
constexpr std::chrono::milliseconds kLastMoment{200};
constexpr int kKilled = 137;

std::chrono::nanoseconds run_time(const model::State& state) {
    return std::chrono::nanoseconds(
        std::max<std::int64_t>(0, state.finished_at.ns - state.started_at.ns));
}

bool will_restart(const ContainerState& state, const Container& container) {
    if (state.shutting_down || container.removing || container.keep_after_exit) return false;
    const model::ContainerRecord& record = container.record;
    return model::should_restart(record.host_config.restart_policy,
                                 {.exit_code = record.state.exit_code,
                                  .oom_killed = record.state.oom_killed,
                                  .manually_stopped = record.manually_stopped,
                                  .restart_count = record.restart_count});
}

void publish_release(const ContainerState& state, const Container& container) {
    state.publish_networks(container, "disconnect");
    for (const model::MountPoint& mount : container.record.mounts)
        if (mount.type == model::MountType::volume)
            state.deps.volumes.publish(mount.name, "unmount", {{"container", container.record.id}});
}

enum class ShimEnd { orderly, lost };

async::Task<void> clean_up(ContainerState& state, ContainerPtr container, ShimEnd end) {
    const std::string id = container->id();
    const std::string directory = state.run_directory(id);
    if (container->shim) {
        const auto deadline = std::chrono::steady_clock::now() + kShimEnd;
        const async::Wake wake = co_await container->shim->wait_gone(deadline);
        if (wake == async::Wake::deadline) log::warn("shim of {} does not end", id.substr(0, 12));
    }
    container->shim.reset();
    container->process.reset();
    auto job = [runtime_root = state.settings().exec_root + "/runtime", id, directory, end,
                cgroup = cgroup_of(container->record), &delegation = state.settings().cgroup] {
        if (end == ShimEnd::lost) delete_runtime_state(runtime_root, id);
        remove_cgroup(cgroup, delegation);
        remove_tree(directory);
    };
    // What is left over is cleared at the next start of the engine: nobody may wait for it.
    try {
        co_await state.deps.context.pool.run(std::move(job));
    } catch (const Error& error) {
        log::warn("clearing up after {}: {}", id.substr(0, 12), error.message());
    }
    co_await unmount_volumes(state, container);
    container->state().cgroup.clear();
    container->cleaning_up = false;
    container->changed.notify_all();
    co_await after_exit(state, container);
}

/// The pause before a restart, then the restart.
async::Task<void> restart_later(ContainerState& state, ContainerPtr container) {
    const auto cancelled = std::make_shared<async::Event>();
    container->restart_cancelled = cancelled;
    const auto pause = container->backoff.next(run_time(container->state()));
    const async::Wake wake =
        co_await cancelled->wait_until(std::chrono::steady_clock::now() + pause);
    if (wake == async::Wake::notified) co_return;
    const async::Lock::Guard guard = co_await container->operations.acquire();
    if (cancelled->is_set() || container->removed) co_return;
    container->restart_cancelled.reset();
    ++container->record.restart_count;
    co_await start_locked(state, container);
}

}  // namespace

void delete_runtime_state(const std::string& root, const std::string& id) {
    linux_os::SpawnRequest request;
    request.program = linux_os::find_own_program("berth-runtime");
    request.arguments = {"berth-runtime", "--root", root, "delete", "--force", id};
    request.environment = linux_os::current_environment();
    linux_os::spawn(request).reap();
}

bool has_ended(const Container& container) {
    return !container.process || linux_os::wait_readable(container.process, 0);
}

async::Task<bool> ends_now(ContainerPtr container) {
    if (!has_ended(*container)) {
        async::Task<> end = async::wait_readable(container->process);
        co_await async::finish_by(std::chrono::steady_clock::now() + kLastMoment, std::move(end));
    }
    co_return has_ended(*container);
}

void record_oom(ContainerState& state, Container& container) {
    container.state().oom_killed = true;
    state.save_event(container);
    state.publish(container, "oom");
}

NamespaceEnd network_namespace_end(const ContainerState& state, const std::string& id) {
    const auto shares = [&](const auto& entry) {
        const model::ContainerRecord& other = entry.second->record;
        return other.host_config.network_mode == "container:" + id && other.state.has_process();
    };
    return std::ranges::any_of(state.by_id, shares) ? NamespaceEnd::shared : NamespaceEnd::gone;
}

void record_exit(ContainerState& state, Container& container, const shim::ExitEvent& exit) {
    model::State& now = container.state();
    container.takes_clients = false;
    now.pid = 0;
    now.exit_code = exit.exit_code;
    const bool oom_is_new = exit.oom && !now.oom_killed;
    now.oom_killed = now.oom_killed || exit.oom;
    now.finished_at = Timestamp{exit.exited_at == 0 ? Timestamp::now().ns : exit.exited_at};
    now.status = model::Status::exited;
    if (will_restart(state, container)) now.status = model::Status::restarting;
    end_health(container);
    if (state.on_container_exit) state.on_container_exit(container);
    if (oom_is_new) state.publish(container, "oom");
    // In dockerd's order, too, "die" comes last.
    publish_release(state, container);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(run_time(now)).count();
    state.publish(
        container, "die",
        {{"exitCode", std::to_string(exit.exit_code)}, {"execDuration", std::to_string(seconds)}});
    state.deps.networks.release(container.record, network_namespace_end(state, container.id()));
    state.save_event(container);
    container.changed.notify_all();
    finish_exit_waits(container, {exit.exit_code, ""});
}

void handle_exit(ContainerState& state, const ContainerPtr& container,
                 const shim::ExitEvent& exit) {
    if (container->starting) {
        container->early_exit = exit;
        return;
    }
    if (container->cleaning_up || !container->state().has_process()) {
        // Nothing to book: a failed start takes its process back. The shim waits for the answer.
        if (container->shim) container->shim->acknowledge({});
        return;
    }
    container->cleaning_up = true;
    record_exit(state, *container, exit);
    if (container->shim) container->shim->acknowledge({});
    state.deps.context.tasks.spawn("clean up container",
                                   clean_up(state, container, ShimEnd::orderly));
}

void handle_shim_loss(ContainerState& state, const ContainerPtr& container) {
    if (container->starting || container->cleaning_up) return;
    if (!container->state().has_process()) return;
    if (container->process)
        syscall(SYS_pidfd_send_signal, container->process.get(), SIGKILL, nullptr, 0);
    shim::ExitEvent exit;
    exit.exit_code = kKilled;
    const auto record = read_file_if_exists(state.run_directory(container->id()) + "/exit.json");
    if (record) {
        const shim::ExitRecord read = shim::parse_exit_record(*record);
        exit = {.exit_code = read.exit_code, .exited_at = read.exited_at, .oom = read.oom};
    } else {
        log::warn("shim of {} died; the container counts as killed", container->id().substr(0, 12));
    }
    container->cleaning_up = true;
    record_exit(state, *container, exit);
    state.deps.context.tasks.spawn("clean up container", clean_up(state, container, ShimEnd::lost));
}

async::Task<void> unmount_volumes(ContainerState& state, ContainerPtr container) {
    for (const model::MountPoint& mount : container->record.mounts) {
        if (mount.type != model::MountType::volume) continue;
        try {
            co_await state.deps.volumes.unmount_unused(mount.name);
        } catch (const Error& error) {
            log::warn("volume {}: {}", mount.name, error.message());
        }
    }
}

async::Task<void> wait_cleaned_up(Container& container) {
    while (container.cleaning_up) co_await container.changed.wait();
}

void cancel_restart(ContainerState& state, Container& container) {
    if (container.restart_cancelled) container.restart_cancelled->set();
    container.restart_cancelled.reset();
    if (container.state().status != model::Status::restarting) return;
    container.state().status = model::Status::exited;
    state.save_event(container);
    container.changed.notify_all();
}

async::Task<void> after_exit(ContainerState& state, ContainerPtr container) {
    if (container->state().status == model::Status::restarting) {
        co_await restart_later(state, container);
        co_return;
    }
    if (!container->record.host_config.auto_remove || container->keep_after_exit) co_return;
    if (container->removing || container->removed) co_return;
    const async::Lock::Guard guard = co_await container->operations.acquire();
    if (container->removed || container->state().is_running()) co_return;
    const RemoveOptions options{.force = true, .volumes = true, .link = false};
    co_await remove_locked(state, container, options);
}

}  // namespace berth::engine
