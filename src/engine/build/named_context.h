// Names that a build knows: stages, images, and what --build-context puts in their place. Engine
// thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/build/build_state.h"
#include "engine/build/copy_plan.h"

namespace berth::engine {

/// Where the files of a step come from: a stage or an image, or a directory.
struct StepSource final {
    std::optional<StageImage> image;
    std::shared_ptr<const BuildContext> directory;  // without an image
    SharedTree tree;
};

/// The files of the context, for an empty name; of the stage, named context or image otherwise.
async::Task<StepSource> source_named(Build& build, std::string from);

/// The context that takes the place of the stage or image; null: none does.
const NamedContext* find_context(const Build& build, const std::string& name);
/// It as the image of a FROM: files become its only layer.
async::Task<StageImage> image_of_context(Build& build, std::string name,
                                         const NamedContext& context);

}  // namespace berth::engine
