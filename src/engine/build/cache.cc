// The cache: images that earlier builds made of the same step.
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
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

bool begins_with(const std::vector<Digest>& list, const std::vector<Digest>& start) {
    return list.size() >= start.size() && std::equal(start.begin(), start.end(), list.begin());
}

bool is_same(const oci::HistoryEntry& one, const oci::HistoryEntry& other) {
    return one.created_by == other.created_by && one.empty_layer == other.empty_layer;
}

/// An image of --cache-from has done the steps so far and this one. Docker looks at no more, since
/// the configurations on the way are not known.
bool has_done(const oci::ImageConfig& source, const StageImage& before, const StepResult& step) {
    const std::vector<oci::HistoryEntry>& history = before.config.history;
    return source.history.size() > history.size() &&
           begins_with(source.diff_ids, before.config.diff_ids) &&
           std::equal(history.begin(), history.end(), source.history.begin(), is_same) &&
           source.history[history.size()].created_by ==
               fmt::format("{}", fmt::join(step.command, " "));
}

std::optional<Digest> top_of(const image::Image& image) {
    if (image.chain_ids.empty()) return std::nullopt;
    return image.chain_ids.back();
}

struct RestoredImage final {
    StageImage image;
    image::ImageHold hold;
};

/// The image that the step would have made, out of the source's layers. A worker's.
struct Restoration final {
    image::ImageStore& store;
    image::Image source;
    oci::ImageConfig source_config;
    StageImage before;
    StepResult step;

    RestoredImage operator()() const {
        const std::size_t done = before.config.history.size();
        if (source_config.history.size() == done + 1 && source_config.config == step.config.config)
            return {{source.id, top_of(source), source_config}, store.hold(source.id)};
        const oci::HistoryEntry& entry = source_config.history[done];
        StageImage made = before;
        made.config.config = step.config.config;
        made.config.author = step.config.author;
        made.config.command = step.command;
        made.config.created = entry.created;
        made.config.history.push_back(entry);
        if (!entry.empty_layer)
            made.config.diff_ids.push_back(source_config.diff_ids.at(made.config.diff_ids.size()));
        image::NewImage image;
        image.config = dump_json(oci::to_json(made.config));
        image.parent = before.id;
        for (std::size_t i = 0; i < made.config.diff_ids.size(); ++i) {
            image.layers.push_back({source.chain_ids.at(i), source.layer_sizes.at(i)});
            made.top = source.chain_ids[i];
        }
        image::AddedImage added = store.add(image);
        made.id = added.id;
        return {std::move(made), *std::move(added.hold)};
    }
};

std::optional<Restoration> find_source(const Build& build, const StageRun& stage,
                                       const StepResult& step) {
    image::ImageStore& store = *build.images().store;
    for (const std::string& name : build.request.cache_from) {
        try {
            image::Image source = store.resolve(name);
            oci::ImageConfig config = store.config(source.id);
            if (has_done(config, stage.image, step))
                return Restoration{store, std::move(source), std::move(config), stage.image, step};
        } catch (const Error&) {
            // Docker passes over sources that are not here.
        }
    }
    return std::nullopt;
}

/// With BuildKit sources are pulled that are not here, at the first step that no build here did.
async::Task<void> fetch_sources(Build& build) {
    if (build.request.dialect == BuildDialect::classic) co_return;
    if (std::exchange(build.fetched_sources, true)) co_return;
    for (const std::string& name : build.request.cache_from) {
        std::optional<Error> failure;
        try {
            co_await find_image(build, name, "");
        } catch (...) {
            failure = async::to_error(std::current_exception());
        }
        build.check_stop();
        if (failure)
            build.log.note(fmt::format("[Warning] no cache from {}: {}", name, failure->message()));
    }
}

/// What an earlier build made of the same image by the same step.
std::optional<StageImage> find_child(const Build& build, const StageRun& stage,
                                     const StepResult& step) {
    const image::ImageStore& store = *build.images().store;
    for (const image::Image& candidate : store.list()) {
        if (candidate.parent != stage.image.id) continue;
        oci::ImageConfig config = store.config(candidate.id);
        if (did_the_step(config, stage.image, step))
            return StageImage{candidate.id, top_of(candidate), std::move(config)};
    }
    return std::nullopt;
}

}  // namespace

async::Task<void> hold_image(Build& build, Digest id) {
    auto job = [&store = *build.images().store, id] { return store.hold(id); };
    build.holds.push_back(co_await build.engine().pool.run(std::move(job)));
}

async::Task<bool> use_cache(Build& build, StageRun& stage, const StepResult& step) {
    if (build.request.no_cache || stage.missed_cache) co_return false;
    if (auto done = find_child(build, stage, step)) {
        co_await hold_image(build, *done->id);
        stage.image = *std::move(done);
        build.log.cached(build.step);
        co_return true;
    }
    co_await fetch_sources(build);
    if (auto source = find_source(build, stage, step)) {
        Restoration job = *std::move(source);
        RestoredImage restored = co_await build.engine().pool.run(std::move(job));
        build.holds.push_back(std::move(restored.hold));
        stage.image = std::move(restored.image);
        build.log.cached(build.step);
        co_return true;
    }
    stage.missed_cache = true;
    co_return false;
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
    build.holds.push_back(*std::move(made.hold));
    stage.image = {made.id, std::move(made.top), std::move(made.config)};
    images.publish(made.id, "create", made.id.str());
}

}  // namespace berth::engine
