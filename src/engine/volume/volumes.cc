#include "engine/volumes.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "engine/model/swarm.h"
#include "engine/volume/state.h"

namespace berth::engine {

using nlohmann::json;

namespace {

json volume_json(const VolumeState& state, const Volume& volume) {
    return {{"Name", volume.name},
            {"Driver", "local"},
            {"Mountpoint", state.mountpoint(volume.name)},
            {"CreatedAt", rfc3339({volume.created.seconds() * 1'000'000'000})},
            {"Labels", volume.labels.empty() ? json() : json(volume.labels)},
            {"Options", volume.options.empty() ? json() : json(volume.options)},
            {"Scope", "local"}};
}

const Volume& find(const VolumeState& state, const std::string& name) {
    const auto found = state.volumes.find(name);
    if (found == state.volumes.end())
        throw Error(ErrorKind::not_found, "get {}: no such volume", name);
    return found->second;
}

std::string listed(const std::vector<std::string>& texts) {
    std::string joined;
    for (const std::string& text : texts) joined += (joined.empty() ? "" : ", ") + text;
    return joined;
}

}  // namespace

VolumeRequest VolumeRequest::from_json(const json& body) {
    const JsonReader r(body, "", KeyCase::any);
    if (r.has("ClusterVolumeSpec"))
        throw Error(ErrorKind::unavailable, "{}", model::kNoSwarmManager);
    return {r.string("Name"), r.string("Driver"), r.string_map("DriverOpts"),
            r.string_map("Labels")};
}

Volumes::Volumes(VolumeDependencies dependencies)
    : state_(std::make_unique<VolumeState>(std::move(dependencies))) {}
Volumes::~Volumes() = default;

async::Task<json> Volumes::create(VolumeRequest request) {
    const Volume* volume = co_await state_->ensure(std::move(request));
    co_return volume_json(*state_, *volume);
}

json Volumes::inspect(const std::string& name) const {
    return volume_json(*state_, find(*state_, name));
}

json Volumes::list(const Filters& filters) const {
    filters.check_keys({"dangling", "driver", "label", "label!", "name"});
    const std::optional<bool> dangling = filters.boolean("dangling");
    json volumes = json::array();
    for (const auto& [name, volume] : state_->volumes) {
        if (!filters.exact("driver", "local") || !filters.labels(volume.labels)) continue;
        if (!filters.any("name", [&](const std::string& v) { return matches_pattern(v, name); }))
            continue;
        if (dangling && state_->users && *dangling != state_->users(name).empty()) continue;
        volumes.push_back(volume_json(*state_, volume));
    }
    return {{"Volumes", std::move(volumes)}, {"Warnings", nullptr}};
}

async::Task<void> Volumes::remove(std::string name, Force force) {
    if (force == Force::yes && !state_->volumes.contains(name)) co_return;
    find(*state_, name);
    const std::vector<std::string> users =
        state_->users ? state_->users(name) : std::vector<std::string>{};
    if (!users.empty())
        throw Error(ErrorKind::conflict, "remove {}: volume is in use - [{}]", name, listed(users));
    co_await state_->destroy(name);
}

}  // namespace berth::engine
