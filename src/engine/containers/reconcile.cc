#include "engine/containers/reconcile.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "engine/containers/cgroup.h"
#include "engine/containers/exit.h"
#include "engine/containers/health.h"
#include "engine/containers/pause.h"
#include "engine/containers/remove.h"
#include "engine/containers/start.h"
#include "engine/containers/stop.h"
#include "engine/network/state.h"
#include "linux/pid_fd.h"

namespace berth::engine {

namespace {

namespace fs = std::filesystem;

// What Docker books for a container whose end nobody saw.
constexpr int kUnseen = 255;
constexpr std::chrono::seconds kShimPatience{5};

void load_record(ContainerState& state, const fs::path& directory) {
    const auto text = read_file_if_exists(directory.string() + "/container.json");
    if (!text) {
        // A crash in the middle of create or remove.
        remove_tree(directory.string());
        return;
    }
    auto container = std::make_shared<Container>();
    try {
        container->record = model::record_from(parse_json(*text));
    } catch (const Error& error) {
        log::error("container {}: {}", directory.string(), error.message());
        return;
    }
    model::State& now = container->state();
    container->restart_due = now.status == model::Status::restarting;
    if (now.status == model::Status::removing || now.status == model::Status::restarting)
        now.status = model::Status::exited;
    state.names.emplace(container->record.name, container->id());
    state.by_id.emplace(container->id(), container);
}

void load_records(ContainerState& state) {
    const std::string root = state.settings().data_root + "/containers";
    make_directories(root, 0710);
    for (const auto& entry : fs::directory_iterator(root))
        if (entry.is_directory()) load_record(state, entry.path());
}

/// An exit that the shim recorded on this boot.
std::optional<shim::ExitEvent> recorded_exit(const std::string& run_directory) {
    const auto text = read_file_if_exists(run_directory + "/exit.json");
    if (!text) return std::nullopt;
    const shim::ExitRecord record = shim::parse_exit_record(*text);
    if (!record.boot_id.empty() && record.boot_id != linux_os::boot_id()) return std::nullopt;
    return shim::ExitEvent{record.exit_code, record.exited_at, record.oom};
}

/// Subscribes to a living shim. False when there is none.
async::Task<bool> take_over(ContainerState& state, ContainerPtr container) {
    const std::string directory = state.run_directory(container->id());
    if (!exists(directory + "/shim.sock")) co_return false;
    try {
        container->shim = ShimClient::connect(state.deps.context.executor, directory,
                                              shim_handlers(state, container));
        const shim::StateReply reply = co_await container->shim->state();
        if (container->cleaning_up) co_return true;  // it ended meanwhile, and that is booked
        if (reply.status != shim::ProcessStatus::running) {
            // Made but never started, or ended just now: exit.json tells.
            if (reply.status != shim::ProcessStatus::exited) co_await container->shim->shutdown();
            container->shim.reset();
            co_return false;
        }
        model::State& now = container->state();
        now.pid = reply.pid;
        co_await recover_pause(state, container);
        if (container->cleaning_up) co_return true;
        if (reply.oom && !now.oom_killed) record_oom(state, *container);
        if (state.on_exec_found)
            for (const shim::ExecState& exec : reply.execs) state.on_exec_found(container, exec);
        container->takes_clients = true;
        container->process = UniqueFd(duplicate(linux_os::PidFd::open(reply.pid).fd()));
        state.deps.networks.adopt(container->record);
        resume_health(state, container);
        co_return true;
    } catch (const Error& error) {
        if (container->cleaning_up) co_return true;
        log::debug("shim of {}: {}", container->id().substr(0, 12), error.message());
    }
    container->shim.reset();
    co_return false;
}

/// The cgroup of a container without a shim: that of its last run, or of a start that was killed.
std::string leftover_cgroup(const ContainerState& state, const Container& container) {
    if (!cgroup_of(container.record).empty()) return cgroup_of(container.record);
    try {
        return choose_cgroup(container.record, state.settings());
    } catch (const Error&) {
        return "";  // its parent cannot be used any more
    }
}

async::Task<void> reconcile_one(ContainerState& state, ContainerPtr container) {
    const bool ran = container->state().has_process();
    const bool alive = co_await take_over(state, container);
    if (alive) {
        log::info("container {} runs on", container->id().substr(0, 12));
        co_return;
    }
    const std::string directory = state.run_directory(container->id());
    if (ran) {
        state.deps.networks.adopt(container->record);
        const std::optional<shim::ExitEvent> recorded = recorded_exit(directory);
        container->restart_due = recorded.has_value();
        const shim::ExitEvent exit =
            recorded.value_or(shim::ExitEvent{.exit_code = kUnseen, .exited_at = 0, .oom = false});
        // Restarts are decided for all containers at once, below.
        state.shutting_down = true;
        record_exit(state, *container, exit);
        state.shutting_down = false;
    } else {
        // A crash in the middle of a start may have left some.
        for (auto& [name, endpoint] : container->record.endpoints)
            model::forget_addresses(endpoint);
    }
    // What shim and runtime would have removed, had nobody killed them.
    auto job = [directory, id = container->id(), cgroup = leftover_cgroup(state, *container),
                runtime_root = state.settings().exec_root + "/runtime",
                &delegation = state.settings().cgroup] {
        if (exists(runtime_root + "/" + id)) delete_runtime_state(runtime_root, id);
        remove_cgroup(cgroup, delegation);
        remove_tree(directory);
    };
    co_await state.deps.context.pool.run(std::move(job));
    container->state().cgroup.clear();
}

/// Run directories that belong to no container.
void remove_strays(const ContainerState& state) {
    const std::string root = state.settings().exec_root + "/c";
    make_directories(root, 0700);
    for (const auto& entry : fs::directory_iterator(root)) {
        const std::string name = entry.path().filename().string();
        const auto owner = state.by_id.lower_bound(name);
        if (owner != state.by_id.end() && owner->first.starts_with(name)) continue;
        if (exists(entry.path().string() + "/shim.sock")) continue;
        remove_tree(entry.path().string());
    }
}

async::Task<void> revive(ContainerState& state, ContainerPtr container) {
    const model::ContainerRecord& record = container->record;
    if (record.made_for == model::MadeFor::build_step) {
        const RemoveOptions options{.force = true, .volumes = true, .link = false};
        co_await remove_container(state, container, record.id, options);
        co_return;
    }
    if (record.state.is_running()) co_return;
    if (record.host_config.auto_remove && record.has_been_started) {
        const async::Lock::Guard guard = co_await container->operations.acquire();
        if (container->removed) co_return;
        const RemoveOptions options{.force = true, .volumes = true, .link = false};
        co_await remove_locked(state, container, options);
        co_return;
    }
    if (!model::should_start_with_engine(record.host_config.restart_policy, record)) co_return;
    const async::Lock::Guard guard = co_await container->operations.acquire();
    if (container->removed || container->state().is_running()) co_return;
    // The end of a session or a reboot is not the container's failure.
    if (std::exchange(container->restart_due, false)) ++container->record.restart_count;
    co_await start_locked(state, container);
}

/// One whose shim does not answer (it is stopped, or hangs on a dead disk) keeps nobody else
/// waiting.
async::Task<> meet(ContainerState& state, ContainerPtr container, std::shared_ptr<bool> over) {
    co_await reconcile_one(state, container);
    if (*over) co_await revive(state, container);
}

async::Task<void> stop_one(ContainerState& state, ContainerPtr container) {
    StopOptions options;
    options.timeout_s = std::nullopt;
    try {
        co_await stop_container(state, container, options);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_modified)
            log::warn("stopping {}: {}", container->id().substr(0, 12), error.message());
    }
    co_await wait_cleaned_up(*container);
    if (container->removed) co_return;
    state.save(*container, Durability::power);
}

}  // namespace

async::Task<void> reconcile(ContainerState& state) {
    load_records(state);
    std::vector<ContainerPtr> all;
    for (const auto& [id, container] : state.by_id) all.push_back(container);
    const auto over = std::make_shared<bool>(false);
    async::TaskGroup meeting(state.deps.context.executor);
    for (const ContainerPtr& container : all)
        meeting.spawn("container of a former engine", meet(state, container, over));
    const SteadyTime deadline = std::chrono::steady_clock::now() + kShimPatience;
    const async::Finish finish = co_await async::finish_by(deadline, meeting.wait_empty());
    if (finish == async::Finish::deadline)
        log::warn("{} shims do not answer: their containers are taken over when they do",
                  meeting.size());
    *over = true;
    remove_strays(state);
    for (const ContainerPtr& container : all)
        state.deps.context.tasks.spawn("start by policy", revive(state, container));
}

async::Task<void> stop_all(ContainerState& state) {
    state.shutting_down = true;
    if (state.settings().live_restore == LiveRestore::yes) co_return;
    async::TaskGroup stopping(state.deps.context.executor);
    for (const auto& [id, container] : state.by_id)
        // One that has just ended counts too: its shim and its network are still at work.
        if (container->record.state.is_running() || container->starting || container->cleaning_up)
            stopping.spawn("stop at shutdown", stop_one(state, container));
    const auto limit = std::chrono::seconds(state.settings().shutdown_timeout_s);
    if (state.settings().shutdown_timeout_s < 0) {
        co_await stopping.wait_empty();
        co_return;
    }
    const async::Finish finish =
        co_await async::finish_by(std::chrono::steady_clock::now() + limit, stopping.wait_empty());
    if (finish == async::Finish::deadline)
        log::warn("some containers did not stop within {} s", limit.count());
}

}  // namespace berth::engine
