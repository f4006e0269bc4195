// Resource limits as clients write them: their JSON, what is refused with Docker's texts, what has
// no effect here, and how `docker update` changes them. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "engine/model/container_config.h"
#include "engine/model/validate.h"

namespace berth {
class JsonReader;
}

namespace berth::engine::model {

Resources resources_from(const JsonReader& reader);
void add_resources(const Resources& resources, nlohmann::json& value);

/// False for all that clients send for "nothing asked": null, 0, false, "", [], {}.
bool is_set(const nlohmann::json& value);

/// An update names what it changes only: swap without memory is no mistake there.
enum class Purpose { create, update };
/// Throws Error{invalid} for the first thing that is wrong.
void check_resources(const Resources& resources, const Abilities& abilities, Purpose purpose);
/// A line for each limit that cannot be applied, with what would mend it.
std::vector<std::string> limit_warnings(const Resources& resources, const Abilities& abilities);

/// The kernel's lists: "0-3,7". Throws Error{invalid}.
std::set<int> number_list_from(const std::string& text);

/// The body of POST /containers/{id}/update.
struct UpdateRequest final {
    Resources resources;
    RestartPolicy restart_policy;      // name empty: unchanged
    std::vector<std::string> ignored;  // keys that an update does not change, with Docker neither
    static UpdateRequest from_json(const nlohmann::json& body);
};
/// What the container has after the update. Throws Error{conflict} when it cannot go together with
/// what it has already.
HostConfig updated(const HostConfig& host, const UpdateRequest& request);

}  // namespace berth::engine::model
