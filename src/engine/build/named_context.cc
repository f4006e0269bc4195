#include "engine/build/named_context.h"

#include "base/text.h"
#include "engine/image/state.h"
#include "image/platform.h"

namespace berth::engine {

namespace {

/// "docker.io/library/Alpine:latest" as "alpine"; what is no name of an image stays.
std::string familiar_name(const std::string& name) {
    const std::string lower = to_lower(name);
    try {
        const image::Reference reference = image::Reference::parse(lower);
        if (!reference.digest() && reference.tag().value_or("latest") == "latest")
            return reference.familiar_name();
        return reference.familiar();
    } catch (const Error&) {
        return lower;
    }
}

StepSource files_source(std::shared_ptr<const BuildContext> directory) {
    std::vector<UniqueFd> root;
    if (directory->directory) root.push_back(duplicate(directory->directory));
    StepSource source;
    source.tree = std::make_shared<const storage::FileTree>(std::move(root));
    source.directory = std::move(directory);
    return source;
}

StepSource image_source(const Build& build, StageImage image) {
    StepSource source;
    source.tree = files_of(build, image);
    source.image = std::move(image);
    return source;
}

/// Fetched once a build.
async::Task<std::shared_ptr<const BuildContext>> fetch_files(Build& build,
                                                             const NamedContext& context) {
    auto& files = build.named_files[&context];
    if (!files) files = co_await context.files();
    build.check_stop();
    co_return files;
}

async::Task<StageImage> image_named(Build& build, std::string from) {
    std::optional<Error> failure;
    try {
        co_return co_await find_image(build, from, build.request.platform);
    } catch (...) {
        failure = async::to_error(std::current_exception());
    }
    throw failure->while_("invalid from flag value {}", from);
}

}  // namespace

const NamedContext* find_context(const Build& build, const std::string& name) {
    const auto& contexts = build.request.contexts;
    if (name.empty() || contexts.empty()) return nullptr;
    const std::string plain = familiar_name(name);
    const std::string platform = image::parse_platform(build.request.platform).str();
    for (const std::string& key : {plain + "::" + platform, plain})
        if (const auto found = contexts.find(key); found != contexts.end()) return &found->second;
    return nullptr;
}

async::Task<StepSource> source_named(Build& build, std::string from) {
    if (from.empty()) co_return files_source(build.context);
    if (const auto stage = build::find_stage(build.file, from, build.step.stage);
        stage && build.finished[*stage])
        co_return image_source(build, *build.finished[*stage]);
    const NamedContext* context = find_context(build, from);
    if (context != nullptr && context->image.empty()) {
        auto files = co_await fetch_files(build, *context);
        co_return files_source(std::move(files));
    }
    if (context != nullptr) from = context->image;
    StageImage image = co_await image_named(build, std::move(from));
    co_return image_source(build, std::move(image));
}

async::Task<StageImage> image_of_context(Build& build, std::string name,
                                         const NamedContext& context) {
    if (!context.image.empty())
        co_return co_await find_image(build, context.image, build.request.platform);
    StageRun stage;
    stage.image.config.platform = image::parse_platform(build.request.platform);
    build::Copy copy;
    copy.sources = {"."};
    copy.destination = "/";
    copy.from = std::move(name);
    co_await copy_files(build, stage, std::move(copy));
    co_return std::move(stage.image);
}

}  // namespace berth::engine
