#include "engine/containers/update.h"

#include "engine/cgroup_limits.h"
#include "engine/containers/cgroup.h"

namespace berth::engine {

namespace {

/// Errors of this kind carry Docker's prefix.
Error cannot_update(const Container& container, const Error& error) {
    return Error(error.kind(), "Cannot update container {}: {}", container.record.id,
                 error.message());
}

model::HostConfig wanted_config(const Container& container, const model::UpdateRequest& request) {
    try {
        if (container.removing || container.record.state.status == model::Status::dead)
            throw Error(ErrorKind::conflict,
                        "container is marked for removal and cannot be \"update\"");
        return model::updated(container.record.host_config, request);
    } catch (const Error& error) {
        throw cannot_update(container, error);
    }
}

/// Writes what differs between two configurations into the cgroup of the running container.
async::Task<void> change_limits(ContainerState& state, ContainerPtr container,
                                const model::Resources& before, const model::Resources& after) {
    const std::string directory = cgroup_of(container->record);
    const model::Abilities& abilities = state.deps.abilities;
    if (directory.empty() || !container->state().has_process()) co_return;
    auto job = [directory, before, after, &abilities] {
        const DeviceNumbers devices = abilities.io ? device_numbers(after) : DeviceNumbers{};
        const auto changes = limit_changes(limits_of(before, abilities, devices),
                                           limits_of(after, abilities, devices));
        const auto cgroup = linux_os::Cgroup::open(directory);
        if (!cgroup) throw Error(ErrorKind::not_found, "cgroup {} is gone", directory);
        apply_or_restore(*cgroup, changes);
    };
    try {
        co_await state.deps.context.pool.run(std::move(job));
    } catch (const Error& error) {
        throw cannot_update(*container, Error(ErrorKind::internal, "{}", error.message()));
    }
}

}  // namespace

async::Task<std::vector<std::string>> update_container(ContainerState& state,
                                                       ContainerPtr container,
                                                       model::UpdateRequest request) {
    model::check_resources(request.resources, state.deps.abilities, model::Purpose::update);
    model::check_restart_policy(request.restart_policy, false);
    std::vector<std::string> warnings =
        model::limit_warnings(request.resources, state.deps.abilities);
    for (const std::string& key : request.ignored)
        warnings.push_back(fmt::format("{} is discarded: an update does not change it.", key));
    const async::Lock::Guard guard = co_await container->operations.acquire();
    model::HostConfig wanted = wanted_config(*container, request);
    const model::HostConfig former = container->record.host_config;
    co_await change_limits(state, container, former.resources, wanted.resources);
    if (container->state().has_process() && cgroup_of(container->record).empty() &&
        state.deps.abilities.cgroup)
        warnings.emplace_back(
            "The container was started without a cgroup: its limits begin at its next start.");
    container->record.host_config = std::move(wanted);
    std::exception_ptr failure;
    try {
        state.save(*container, Durability::power);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        const model::Resources refused = container->record.host_config.resources;
        container->record.host_config = former;
        co_await change_limits(state, container, refused, former.resources);
        std::rethrow_exception(failure);
    }
    state.publish(*container, "update");
    co_return warnings;
}

}  // namespace berth::engine
