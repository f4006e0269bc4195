#include "engine/containers/remove.h"

#include "base/log.h"
#include "engine/containers/exit.h"
#include "engine/containers/stop.h"
#include "engine/containers/wait.h"
#include "engine/image/state.h"
#include "engine/volume/state.h"
#include "storage/driver.h"

namespace berth::engine {

namespace {

constexpr int kRemovals = 5;

void check_not_removing(const Container& container, const std::string& ref) {
    // "removal of container X is already in progress": testcontainers and its reaper ignore it.
    if (container.removing)
        throw Error(ErrorKind::conflict, "removal of container {} is already in progress", ref);
}

void check_status(const Container& container, const std::string& ref,
                  const RemoveOptions& options) {
    if (options.force) return;
    const model::Status status = container.record.state.status;
    if (status == model::Status::paused)
        throw Error(ErrorKind::conflict,
                    "cannot remove container \"{}\": container is paused and must be unpaused "
                    "first",
                    ref);
    if (status == model::Status::running || status == model::Status::restarting)
        throw Error(ErrorKind::conflict,
                    "cannot remove container \"{}\": container is {}: stop the container before "
                    "removing or force remove",
                    ref, model::to_string(status));
}

async::Task<void> remove_anonymous_volumes(ContainerState& state, const Container& container) {
    for (const model::MountPoint& mount : container.record.mounts)
        if (mount.anonymous) {
            // The container has gone: whoever waits for that must hear of it all the same.
            try {
                co_await state.deps.volumes.remove_if_unused(mount.name);
            } catch (const Error& error) {
                log::warn("removing volume {}: {}", mount.name, error.message());
            }
        }
}

void remove_all_in(const std::string& directory) {
    for (int tries = 1;; ++tries) {
        try {
            storage::remove_rootfs(directory);
            remove_tree(directory);
            return;
        } catch (const Error& error) {
            // A reader of its files (a copy, an export) may just have mounted something there.
            const bool busy = error.errno_value() == ENOTEMPTY || error.errno_value() == EBUSY;
            if (!busy || tries == kRemovals) throw;
        }
    }
}

// Not waited for by the client: each file that is freed can cost milliseconds of a busy disk.
async::Task<void> remove_files(ContainerState& state, std::string directory,
                               std::vector<std::string> layers) {
    auto job = [directory] { remove_all_in(directory); };
    try {
        co_await state.deps.context.pool.run(std::move(job));
        co_await state.deps.images.drop_unused_layers(std::move(layers));
    } catch (const Error& error) {
        log::warn("files of a removed container stay until the next start: {}", error.message());
    }
}

void forget(ContainerState& state, Container& container) {
    state.by_id.erase(container.id());
    const auto name = state.names.find(container.record.name);
    if (name != state.names.end() && name->second == container.id()) state.names.erase(name);
    container.queued.clear();
    container.removed = true;
    if (state.on_container_removed) state.on_container_removed(container);
}

}  // namespace

async::Task<void> remove_locked(ContainerState& state, ContainerPtr container,
                                RemoveOptions options) {
    container->removing = true;
    co_await wait_cleaned_up(*container);
    const std::string directory = state.directory(container->id());
    std::exception_ptr failure;
    // The container is gone with its record: the next engine start clears a directory without one.
    auto job = [directory] { remove_tree(directory + "/container.json"); };
    try {
        co_await state.deps.context.pool.run(std::move(job));
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        container->removing = false;
        container->state().status = model::Status::dead;
        std::rethrow_exception(failure);
    }
    const WaitOutcome outcome{container->state().exit_code, ""};
    forget(state, *container);
    state.deps.context.tasks.spawn(
        "remove files", remove_files(state, directory, model::top_layers_of(container->record)));
    if (options.volumes) co_await remove_anonymous_volumes(state, *container);
    state.publish(*container, "destroy");
    container->changed.notify_all();
    finish_all_waits(*container, outcome);
}

async::Task<void> remove_container(ContainerState& state, ContainerPtr container, std::string ref,
                                   RemoveOptions options) {
    check_not_removing(*container, ref);
    check_status(*container, ref, options);
    container->removing = true;
    std::exception_ptr failure;
    try {
        const async::Lock::Guard guard = co_await container->operations.acquire();
        if (container->removed)
            throw Error(ErrorKind::not_found, "No such container: {}", container->id());
        // A start that was going on may have ended while this waited.
        check_status(*container, ref, options);
        cancel_restart(state, *container);
        if (container->state().is_running()) co_await kill_and_wait(state, container);
        co_await remove_locked(state, container, options);
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) co_return;
    // What another request or --rm removed meanwhile stays so: nobody may start it.
    container->removing = container->removed;
    std::rethrow_exception(failure);
}

}  // namespace berth::engine
