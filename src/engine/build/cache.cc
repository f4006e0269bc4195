// The cache: images that earlier builds made of the same step.
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/build/build_state.h"
#include "engine/image/state.h"
#include "image/platform.h"

namespace berth::engine {

namespace {

bool did_the_step(const oci::ImageConfig& candidate, const StageImage& before,
                  const StepResult& step) {
    return candidate.command == step.command && candidate.config == step.config.config &&
           candidate.author == step.config.author &&
           candidate.history.size() == before.config.history.size() + 1 &&
           (before.config.platform.architecture.empty() ||
            candidate.platform == before.config.platform);
}

void take(Build& build, StageRun& stage, const image::Image& found, oci::ImageConfig config) {
    stage.image.id = found.id;
    stage.image.top.reset();
    if (!found.chain_ids.empty()) stage.image.top = found.chain_ids.back();
    stage.image.config = std::move(config);
    build.log.cached(build.step);
}

bool begins_with(const std::vector<Digest>& list, const std::vector<Digest>& start) {
    return list.size() >= start.size() && std::equal(start.begin(), start.end(), list.begin());
}

/// An image of --cache-from has the steps so far and this one as its last.
bool ends_with_step(const oci::ImageConfig& source, const StageImage& before,
                    const StepResult& step) {
    const std::size_t done = before.config.history.size();
    return source.history.size() == done + 1 &&
           begins_with(source.diff_ids, before.config.diff_ids) &&
           source.history[done].created_by == fmt::format("{}", fmt::join(step.command, " ")) &&
           source.config == step.config.config;
}

bool use_source(Build& build, StageRun& stage, const StepResult& step) {
    const image::ImageStore& store = *build.images().store;
    for (const std::string& name : build.request.cache_from) {
        try {
            const image::Image source = store.resolve(name);
            oci::ImageConfig config = store.config(source.id);
            if (!ends_with_step(config, stage.image, step)) continue;
            take(build, stage, source, std::move(config));
            return true;
        } catch (const Error&) {
            // Docker passes over sources that are not here.
        }
    }
    return false;
}

}  // namespace

bool use_cache(Build& build, StageRun& stage, const StepResult& step) {
    if (build.request.no_cache || stage.missed_cache) return false;
    const image::ImageStore& store = *build.images().store;
    for (const image::Image& candidate : store.list()) {
        if (candidate.parent != stage.image.id) continue;
        oci::ImageConfig config = store.config(candidate.id);
        if (!did_the_step(config, stage.image, step)) continue;
        take(build, stage, candidate, std::move(config));
        return true;
    }
    if (use_source(build, stage, step)) return true;
    stage.missed_cache = true;
    return false;
}

async::Task<void> commit_step(Build& build, StageRun& stage, StepResult step) {
    build.check_stop();
    Derivation derivation{.top = stage.image.top,
                          .parent = stage.image.id,
                          .commit = {},
                          .reference = std::nullopt,
                          .write_layer = std::move(step.write_layer)};
    image::Commit& commit = derivation.commit;
    commit.base = stage.image.config;
    commit.config = std::move(step.config.config);
    commit.author = std::move(step.config.author);
    commit.created_by = fmt::format("{}", fmt::join(step.command, " "));
    commit.command = std::move(step.command);
    ImageState& images = build.images();
    const storage::LayerStore& layers = build.engine().storage.layers;
    auto job = [&images, &layers, derivation = std::move(derivation), stop = build.stop]() mutable {
        return derive_image(*images.store, layers, std::move(derivation), stop);
    };
    DerivedImage made = co_await build.engine().pool.run_on_thread("build", std::move(job));
    stage.image = {made.id, std::move(made.top), std::move(made.config)};
}

}  // namespace berth::engine
