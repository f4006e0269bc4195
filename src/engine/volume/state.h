// Volumes inside the engine: data_root/volumes/<name>/{_data,volume.json}. Engine thread only.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/context.h"
#include "engine/model/mounts.h"
#include "engine/volumes.h"

namespace berth::engine {

struct VolumeDependencies final {
    Context context;
};

struct Volume final {
    std::string name;
    Timestamp created;
    std::map<std::string, std::string> options;
    model::Labels labels;
    bool anonymous = false;
};

struct VolumeState final {
    explicit VolumeState(VolumeDependencies dependencies) : deps(std::move(dependencies)) {}

    VolumeDependencies deps;
    std::map<std::string, Volume> volumes;
    std::set<std::string> removing;
    /// Containers that mount the volume, running or not; set by the engine.
    std::function<std::vector<std::string>(const std::string& name)> users;

    void load();
    std::string mountpoint(const std::string& name) const;
    /// Makes the volume or finds it.
    async::Task<const Volume*> ensure(VolumeRequest request);
    /// Fills a mount's name and source, making its volume when needed.
    async::Task<void> prepare(model::MountPoint& mount);
    /// Removes an anonymous volume that no container mounts any more.
    async::Task<void> remove_if_unused(std::string name);
    async::Task<void> destroy(std::string name);
    void publish(const std::string& name, const std::string& action,
                 std::map<std::string, std::string> attributes = {}) const;
};

}  // namespace berth::engine
