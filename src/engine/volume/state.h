// Volumes inside the engine: data_root/volumes/<name>/{_data,volume.json}. Engine thread only.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "async/sync.h"
#include "base/clock.h"
#include "engine/context.h"
#include "engine/model/mounts.h"
#include "engine/volume/tmpfs.h"
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

    /// A container that runs with the volume, and whether one does or is about to; set by the
    /// engine.
    std::function<std::optional<VolumeUse>(const std::string& name)> running_use;
    std::function<bool(const std::string& name)> in_use;
    async::Lock mounting;

    void load();
    std::string mountpoint(const std::string& name) const;
    /// Makes the volume or finds it.
    async::Task<const Volume*> ensure(VolumeRequest request);
    /// Fills a mount's name and source, making its volume when needed.
    async::Task<void> prepare(model::MountPoint& mount);
    /// What to mount a volume with that is a tmpfs; nothing for others.
    std::optional<std::vector<std::string>> tmpfs_options(const std::string& name) const;
    /// Mounts a volume that is a tmpfs, for a container that starts; nothing for others.
    async::Task<void> mount(std::string name);
    /// Takes it down again when no container uses it any more.
    async::Task<void> unmount_unused(std::string name);
    /// Removes an anonymous volume that no container mounts any more.
    async::Task<void> remove_if_unused(std::string name);
    async::Task<void> destroy(std::string name);
    void publish(const std::string& name, const std::string& action,
                 std::map<std::string, std::string> attributes = {}) const;
};

}  // namespace berth::engine
