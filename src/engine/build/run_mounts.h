// The mounts of a RUN (--mount) as mounts of its container. Engine thread; files are handled by
// workers. What a secret is never gets into the image, its history or the key of the cache, nor to
// a disk: its file is in a tmpfs that goes with the step.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "build/run_mount.h"
#include "engine/build/build_state.h"
#include "engine/build/cache_directory.h"
#include "engine/build/copy_plan.h"

namespace berth::engine {

class SecretFiles;
class ScratchDirectory;

/// One mount, and the files it shows.
struct PlannedMount final {
    build::RunMount what;
    std::optional<StageImage> from;  // none: the context
    SharedTree tree;                 // of a bind, and of a cache that begins with files
    std::string source;              // in the tree, without links
    std::string key;                 // what it adds to the step's command for history and cache
};

/// For one container of a step, which must have ended before this goes.
struct StepMounts final {
    std::vector<model::MountObject> mounts;
    std::vector<std::string> environment;
    std::map<std::string, std::shared_ptr<const CacheUse>> caches;
    std::shared_ptr<const SecretFiles> secrets;
    std::shared_ptr<const ScratchDirectory> copies;  // of what may be written to
};

/// The stage or image that --from names.
async::Task<StageImage> source_image(Build& build, std::string from);

async::Task<std::vector<PlannedMount>> plan_mounts(Build& build, const StageRun& stage,
                                                   std::vector<build::Pairs> mounts);
async::Task<StepMounts> make_mounts(Build& build, std::vector<PlannedMount> planned);

}  // namespace berth::engine
