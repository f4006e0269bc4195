// The services that housekeeping works on.
#pragma once

#include "engine/containers/state.h"
#include "engine/housekeeping.h"
#include "engine/image/state.h"
#include "engine/volume/state.h"

namespace berth::engine {

struct HousekeepingDependencies final {
    Containers& containers;
    Images& images;
    Volumes& volumes;
};

}  // namespace berth::engine
