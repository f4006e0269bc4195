#include "engine/containers/pause.h"

#include "base/log.h"
#include "engine/containers/cgroup.h"
#include "linux/cgroup.h"

namespace berth::engine {

namespace {

enum class Freezer { freeze, thaw };

async::Task<void> turn(ContainerState& state, ContainerPtr container, Freezer wanted) {
    const std::string directory = cgroup_of(container->record);
    auto job = [directory, wanted] {
        const auto cgroup = linux_os::Cgroup::open(directory);
        if (!cgroup) throw Error(ErrorKind::not_found, "its cgroup {} is gone", directory);
        wanted == Freezer::freeze ? cgroup->freeze() : cgroup->thaw();
    };
    co_await state.deps.context.pool.run(std::move(job));
}

/// Why it has none, in words that end with what mends it.
std::string reason_for_no_cgroup(const ContainerState& state) {
    if (state.deps.abilities.cgroup) return "it was started without one: restart it";
    const std::string& problem = state.deps.abilities.cgroup_problem;
    return problem.empty() ? "no cgroup is delegated to this engine" : problem;
}

void check_can_pause(const ContainerState& state, Container& container) {
    const model::Status status = container.state().status;
    const std::string& id = container.id();
    if (status == model::Status::paused)
        throw Error(ErrorKind::conflict, "Container {} is already paused", id);
    if (status == model::Status::restarting)
        throw Error(ErrorKind::conflict,
                    "Container {} is restarting, wait until the container is running", id);
    if (status != model::Status::running)
        throw Error(ErrorKind::conflict, "container {} is not running", id);
    if (cgroup_of(container.record).empty())
        throw Error(ErrorKind::internal, "cannot pause container {}: it has no cgroup: {}", id,
                    reason_for_no_cgroup(state));
}

async::Task<void> run_again(ContainerState& state, ContainerPtr container) {
    co_await turn(state, container, Freezer::thaw);
    if (container->state().status != model::Status::paused) co_return;
    container->state().status = model::Status::running;
    container->state().paused_by_engine = false;
    state.save_event(*container);
    container->changed.notify_all();
    state.publish(*container, "unpause");
}

bool is_frozen(const model::ContainerRecord& record) {
    const std::string directory = cgroup_of(record);
    if (directory.empty()) return false;
    const auto cgroup = linux_os::Cgroup::open(directory);
    return cgroup && cgroup->frozen();
}

}  // namespace

async::Task<void> pause_container(ContainerState& state, ContainerPtr container, PausedBy by) {
    const async::Lock::Guard guard = co_await container->operations.acquire();
    check_can_pause(state, *container);
    try {
        co_await turn(state, container, Freezer::freeze);
    } catch (Error& error) {
        throw error.while_("cannot pause container {}", container->id());
    }
    // It may have ended meanwhile.
    if (container->state().status != model::Status::running)
        throw Error(ErrorKind::conflict, "container {} is not running", container->id());
    container->state().status = model::Status::paused;
    container->state().paused_by_engine = by == PausedBy::engine;
    state.save_event(*container);
    container->changed.notify_all();
    state.publish(*container, "pause");
}

async::Task<void> unpause_container(ContainerState& state, ContainerPtr container) {
    const async::Lock::Guard guard = co_await container->operations.acquire();
    if (container->state().status != model::Status::paused)
        throw Error(ErrorKind::conflict, "Container {} is not paused", container->id());
    co_await run_again(state, container);
}

async::Task<void> unpause_for_signal(ContainerState& state, ContainerPtr container) {
    if (container->state().status != model::Status::paused) co_return;
    try {
        co_await run_again(state, container);
    } catch (const Error& error) {
        log::warn("container {} stays paused: {}", container->id().substr(0, 12), error.message());
    }
}

async::Task<void> recover_pause(ContainerState& state, ContainerPtr container) {
    model::State& now = container->state();
    const bool wanted = now.status == model::Status::paused && !now.paused_by_engine;
    now.paused_by_engine = false;
    now.status = model::Status::running;
    if (!is_frozen(container->record)) co_return;
    now.status = model::Status::paused;
    if (!wanted) co_await unpause_for_signal(state, container);
}

}  // namespace berth::engine
