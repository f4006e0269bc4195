// How much disk containers take. Engine thread; the walk over their files is one worker's job.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// Bytes of the writable part and of the whole root file system.
struct Sizes final {
    std::int64_t writable = 0;
    std::int64_t root = 0;
};
/// In the order of the containers. One that is removed meanwhile takes nothing.
async::Task<std::vector<Sizes>> sizes_of(ContainerState& state,
                                         std::vector<ContainerPtr> containers);
async::Task<Sizes> sizes_of(ContainerState& state, ContainerPtr container);

}  // namespace berth::engine
