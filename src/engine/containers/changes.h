// `docker diff`. Engine thread; the walk over the files is a worker's.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/containers/state.h"
#include "storage/changes.h"

namespace berth::engine {

/// What a container changed in its image's files; values for a worker.
struct ChangesWork final {
    const Storage& storage;
    std::string directory;  // containers/<id>
    std::optional<Digest> top;
    std::set<std::string> mount_points;

    storage::RootfsMount rootfs() const;
    std::vector<storage::Change> operator()() const;
};
ChangesWork changes_work(const ContainerState& state, const Container& container);

/// [{"Path","Kind"}], null when there is none.
async::Task<nlohmann::json> changes_json(ContainerState& state, ContainerPtr container);

}  // namespace berth::engine
