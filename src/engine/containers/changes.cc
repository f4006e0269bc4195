#include "engine/containers/changes.h"

#include <nlohmann/json.hpp>

#include "engine/containers/root_view.h"

namespace berth::engine {

storage::RootfsMount ChangesWork::rootfs() const {
    return storage::prepare_rootfs(storage.driver, storage.layers, directory, top);
}

std::vector<storage::Change> ChangesWork::operator()() const {
    const std::vector<std::string> layers =
        top ? storage.layers.directories(*top) : std::vector<std::string>();
    return storage::find_changes(rootfs(), layers, mount_points);
}

ChangesWork changes_work(const ContainerState& state, const Container& container) {
    const model::ContainerRecord& record = container.record;
    ChangesWork work{.storage = state.deps.context.storage,
                     .directory = state.directory(record.id),
                     .top = std::nullopt,
                     .mount_points = mount_points_of(record)};
    if (!record.top_layer.empty()) work.top = Digest::parse(record.top_layer);
    return work;
}

async::Task<nlohmann::json> changes_json(ContainerState& state, ContainerPtr container) {
    const std::vector<storage::Change> changes =
        co_await state.deps.context.pool.run_on_thread("diff", changes_work(state, *container));
    nlohmann::json result;  // null without changes, as Docker has it
    for (const storage::Change& change : changes)
        result.push_back({{"Path", "/" + change.path}, {"Kind", static_cast<int>(change.kind)}});
    co_return result;
}

}  // namespace berth::engine
