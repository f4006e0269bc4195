// What needs all of containers, images and volumes at once: removing the unused ones (prune) and
// telling what they take (df). Engine thread only. One prune of a kind at a time, else
// Error{conflict}; what cannot be removed, because somebody was quicker, is passed over.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "async/task.h"
#include "engine/build/cache_directory.h"
#include "engine/filters.h"

namespace berth::engine {

class Containers;
class Images;
class Volumes;

/// Which volumes a prune takes when the filter `all` does not say it.
enum class PrunedVolumes { anonymous, all };

struct HousekeepingDependencies;

class Housekeeping final {
  public:
    explicit Housekeeping(HousekeepingDependencies dependencies);
    ~Housekeeping();
    Housekeeping(const Housekeeping&) = delete;
    Housekeeping& operator=(const Housekeeping&) = delete;

    /// {"ContainersDeleted":[…],"SpaceReclaimed":N}; those that do not run.
    async::Task<nlohmann::json> prune_containers(Filters filters);
    /// {"ImagesDeleted":[…],"SpaceReclaimed":N}; those without a tag, with `dangling=false` all
    /// that no container uses.
    async::Task<nlohmann::json> prune_images(Filters filters);
    /// {"VolumesDeleted":[…],"SpaceReclaimed":N}; those that no container mounts.
    async::Task<nlohmann::json> prune_volumes(Filters filters, PrunedVolumes pruned);
    /// Directories of RUN --mount=type=cache that no step uses: by the filters until, unused-for,
    /// id (a pattern), type, description and flags, the longest unused first.
    async::Task<std::vector<CacheFacts>> prune_build_cache(Filters filters, CacheLimits limits);
    /// By the same filters but the times.
    async::Task<std::vector<CacheFacts>> build_cache(Filters filters);

    /// The reply of GET /system/df. `types` of container, image, volume, build-cache; empty: all.
    /// Throws Error{invalid} for another one.
    async::Task<nlohmann::json> disk_usage(std::set<std::string> types);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace berth::engine
