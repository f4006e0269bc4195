// FROM and COPY --from: where a stage begins.
#include <nlohmann/json.hpp>

#include "build/words.h"
#include "engine/build/build_state.h"
#include "engine/build/named_context.h"
#include "engine/image/state.h"
#include "image/platform.h"

namespace berth::engine {

namespace {

std::optional<StageImage> find_local(const Build& build, const std::string& name,
                                     const std::string& platform) {
    const image::ImageStore& store = *build.images().store;
    try {
        const image::Image found = store.resolve(name);
        StageImage image{found.id, std::nullopt, store.config(found.id)};
        if (!found.chain_ids.empty()) image.top = found.chain_ids.back();
        const bool fits =
            platform.empty() || image.config.platform.architecture.empty() ||
            image::is_compatible(image::parse_platform(platform), image.config.platform);
        if (fits) return image;
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
    }
    return std::nullopt;
}

async::Task<void> pull(Build& build, const std::string& name, const std::string& platform) {
    PullRequest request;
    request.from_image = name;
    request.platform = platform;
    if (build.request.registry_auth)
        request.registry_auth = co_await build.request.registry_auth(name);
    // Progress may still come when the build is over.
    const BuildStep step = build.step;
    BuildLog& log = build.log;
    ProgressSink sink = [&log, step](const nlohmann::json& line) { log.pull_progress(step, line); };
    co_await build.state.deps.images.pull(std::move(request), std::move(sink), build.stop);
}

/// A name without a tag means latest: a pull without one would fetch all.
std::string with_tag(const std::string& name) {
    return image::Reference::parse(name).with_default_tag().familiar();
}

}  // namespace

async::Task<StageImage> find_image(Build& build, std::string name, std::string platform) {
    std::optional<StageImage> image;
    const bool is_id = name.starts_with("sha256:");
    if (!build.request.pull || is_id) image = find_local(build, name, platform);
    if (!image) {
        co_await pull(build, with_tag(name), platform);
        build.check_stop();
        // Its registry may have it for another platform only; the pull has said so.
        image = find_local(build, name, "");
    }
    if (!image) throw Error(ErrorKind::not_found, "No such image: {}", name);
    co_await hold_image(build, *image->id);
    co_return *std::move(image);
}

async::Task<StageImage> base_image(Build& build, const build::From& from) {
    const build::Lookup globals = build.arguments.global_lookup();
    const std::string name = build::expand(from.image, globals, build.file.escape);
    if (name.empty())
        throw Error(ErrorKind::invalid, "base name ({}) should not be blank", from.image);
    const std::string lower = to_lower(name);
    for (std::size_t i = build.step.stage; i-- > 0;)
        if (build.file.stages[i].from.name == lower && build.finished[i])
            co_return *build.finished[i];
    std::string platform = build::expand(from.platform, globals, build.file.escape);
    if (platform.empty()) platform = build.request.platform;
    if (name == "scratch") {
        StageImage empty;
        empty.config.platform = image::parse_platform(platform);
        co_return empty;
    }
    if (const NamedContext* context = find_context(build, name))
        co_return co_await image_of_context(build, name, *context);
    co_return co_await find_image(build, name, std::move(platform));
}

std::shared_ptr<const storage::FileTree> files_of(const Build& build, const StageImage& image) {
    std::vector<UniqueFd> layers;
    if (image.top) layers = build.engine().storage.layers.open_files(*image.top);
    return std::make_shared<const storage::FileTree>(std::move(layers));
}

}  // namespace berth::engine
