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
#include "engine/build/agent_socket.h"
#include "engine/build/build_state.h"
#include "engine/build/cache_directory.h"
#include "engine/build/named_context.h"

namespace berth::engine {

class SecretFiles;
class ScratchDirectory;

/// One mount, and the files it shows.
struct PlannedMount final {
    build::RunMount what;
    StepSource from;     // of a bind, and of a cache that begins with files
    std::string source;  // in its tree, without links
    std::string key;     // what it adds to the step's command for history and cache
};

/// For one container of a step, which must have ended before this goes.
struct StepMounts final {
    std::vector<model::MountObject> mounts;
    std::vector<std::string> environment;
    std::map<std::string, std::shared_ptr<const CacheUse>> caches;
    std::shared_ptr<const SecretFiles> secrets;
    std::vector<std::shared_ptr<const AgentSocket>> agents;
    std::shared_ptr<const ScratchDirectory> copies;  // of what may be written to
};

async::Task<std::vector<PlannedMount>> plan_mounts(Build& build, const StageRun& stage,
                                                   std::vector<build::Pairs> mounts);
async::Task<StepMounts> make_mounts(Build& build, std::vector<PlannedMount> planned);
/// A heredoc that names its interpreter ("#!/usr/bin/awk -f"); where it is in the container.
std::string add_program(Build& build, const build::Heredoc& program, StepMounts& made);

}  // namespace berth::engine
