// Whose ids a container sees: HostConfig.UsernsMode. With "" and "host" the container has the
// engine's own ids, so its root is the user. "keep-id" (Podman's word) permutes them in a child
// user namespace, so that the user has an id of their own inside too. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/container_config.h"
#include "oci/runtime_spec.h"

namespace berth::engine::model {

/// The label that stands for `--userns`, whose values the docker CLI checks itself.
constexpr const char* kUsernsLabel = "io.berth.userns";

/// Who the user is: outside, or in a container.
struct UserIds final {
    std::uint32_t uid = 0, gid = 0;
    bool operator==(const UserIds&) const = default;
};

/// "keep-id" is `own`, "keep-id:uid=N,gid=N" what it says; nothing for "" and "host". Throws
/// Error{invalid} for anything else.
std::optional<UserIds> kept_ids_from(const std::string& mode, UserIds own);

/// Ids of a container and what they are in the engine's namespace, which has 0 to count - 1: `kept`
/// is its 0, those below move up by one. Throws Error{invalid} when there are too few ids.
std::vector<oci::IdMapping> keep_id_map(std::uint32_t kept, std::uint32_t count);

/// Of a user namespace of the container's own; empty: it has none.
struct IdMaps final {
    std::vector<oci::IdMapping> uids, gids;
    bool empty() const { return uids.empty(); }
};
IdMaps id_maps_of(const HostConfig& host, UserIds user, UserIds counts);

/// The mode that a request means: its own, else by its label, else the engine's default.
std::string chosen_userns_mode(const HostConfig& host, const Labels& labels,
                               const std::string& default_mode);

}  // namespace berth::engine::model
