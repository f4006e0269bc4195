// How much disk a container takes. Engine thread; the walk over its files is a worker's.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// Bytes of the writable part and of the whole root file system.
struct Sizes final {
    std::int64_t writable = 0;
    std::int64_t root = 0;
};
async::Task<Sizes> sizes_of(ContainerState& state, ContainerPtr container);

}  // namespace berth::engine
