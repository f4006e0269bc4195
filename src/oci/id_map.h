// What an id of a container is in the namespace around it. Pure.
#pragma once

#include "oci/runtime_spec.h"

namespace berth::oci {

/// An id without a mapping, and each one of an empty map, stays as it is.
inline std::uint32_t mapped_id(const std::vector<IdMapping>& map, std::uint32_t id) {
    for (const IdMapping& range : map)
        if (id >= range.container_id && id - range.container_id < range.size)
            return range.host_id + (id - range.container_id);
    return id;
}

/// The way back: what an id of the namespace around is in the container.
inline std::uint32_t unmapped_id(const std::vector<IdMapping>& map, std::uint32_t id) {
    for (const IdMapping& range : map)
        if (id >= range.host_id && id - range.host_id < range.size)
            return range.container_id + (id - range.host_id);
    return id;
}

}  // namespace berth::oci
