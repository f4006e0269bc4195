// One build under way, shared by the files that carry out its steps. Engine thread only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "build/arguments.h"
#include "build/config.h"
#include "build/dockerfile.h"
#include "engine/build/build.h"
#include "engine/containers.h"
#include "engine/context.h"
#include "engine/image/derive.h"
#include "engine/images.h"
#include "storage/file_tree.h"

namespace berth::engine {

struct BuilderDependencies final {
    Context context;
    Containers& containers;
    Images& images;
};

struct BuilderState final {
    BuilderDependencies deps;
    std::string directory() const { return deps.context.settings.data_root + "/builds"; }
};

/// What a stage has become so far.
struct StageImage final {
    std::optional<Digest> id;  // none: scratch without any step
    std::optional<Digest> top;
    oci::ImageConfig config;

    std::string id_text() const { return id ? id->str() : ""; }
};

struct Build final {
    BuilderState& state;
    const BuildRequest& request;
    std::shared_ptr<const BuildContext> context;
    BuildLog& log;
    std::stop_token stop;
    build::Dockerfile file;
    build::Arguments arguments;
    std::vector<std::optional<StageImage>> finished{};  // by stage
    std::map<const NamedContext*, std::shared_ptr<const BuildContext>> named_files{};
    std::vector<image::ImageHold> holds{};  // on all images that it came by
    bool fetched_sources = false;           // of request.cache_from
    BuildStep step{};                       // the present one
    std::optional<CommandFailure> failure{};

    const Context& engine() const { return state.deps.context; }
    ImageState& images() const { return state.deps.images.state(); }
    /// Throws Error{cancelled} when the client has gone.
    void check_stop() const;
};

struct StageRun final {
    StageImage image;
    bool command_set = false;  // CMD by this Dockerfile
    bool missed_cache = false;
    std::vector<std::string> containers{};  // of the present step
};

/// What a step makes of its stage's image.
struct StepResult final {
    build::StageConfig config;
    std::vector<std::string> command;                   // as the history and the cache have it
    std::function<void(archive::Sink&)> write_layer{};  // empty: no layer
};

/// Nobody removes the image before the build is over. Throws Error{not_found}.
async::Task<void> hold_image(Build& build, Digest id);

/// The image of an earlier build that did this very step. Then the stage goes on with it.
async::Task<bool> use_cache(Build& build, StageRun& stage, const StepResult& step);
/// Makes the step's image.
async::Task<void> commit_step(Build& build, StageRun& stage, StepResult step);

/// FROM: an earlier stage, scratch, or an image, pulled when it is not there.
async::Task<StageImage> base_image(Build& build, const build::From& from);
/// An image that is named in FROM or COPY --from.
async::Task<StageImage> find_image(Build& build, std::string name, std::string platform);

async::Task<void> run_command(Build& build, StageRun& stage, build::Run run);
async::Task<void> copy_files(Build& build, StageRun& stage, build::Copy copy);
async::Task<void> make_working_directory(Build& build, StageRun& stage, StepResult step);

/// The files of an image.
std::shared_ptr<const storage::FileTree> files_of(const Build& build, const StageImage& image);
/// Throws Error with dockerd's text for what the classic builder has not.
[[noreturn]] void refuse_without_buildkit(const std::string& what);

}  // namespace berth::engine
