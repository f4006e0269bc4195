#include "engine/images.h"

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "archive/produced_source.h"
#include "archive/stream.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/image/post_progress.h"
#include "engine/image/state.h"
#include "engine/model/times.h"
#include "image/import.h"
#include "image/load.h"
#include "image/platform.h"
#include "image/reference.h"
#include "image/save.h"
#include "image/transport.h"

namespace berth::engine {

using nlohmann::json;

namespace {

json texts(const std::vector<std::string>& list) { return list; }

json summary_json(const image::Image& image, std::int64_t containers) {
    return {{"Id", image.id.str()},
            {"ParentId", image.parent ? image.parent->str() : ""},
            {"RepoTags", texts(image.repo_tags())},
            {"RepoDigests", texts(image.repo_digests())},
            {"Created", image.created.seconds()},
            {"Size", image.size()},
            {"SharedSize", -1},
            {"Containers", containers},
            {"Labels", image.labels.empty() ? json() : json(image.labels)}};
}

/// "alpine", "alpine:3", "al*:*": against name and name:tag in the familiar and in the full form.
bool glob(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern.front() == '*') {
        for (std::size_t skip = 0; skip <= text.size(); ++skip) {
            if (glob(pattern.substr(1), text.substr(skip))) return true;
            // As in a path pattern, '*' does not cross a slash.
            if (skip < text.size() && text[skip] == '/') return false;
        }
        return false;
    }
    if (text.empty() || (pattern.front() != '?' && pattern.front() != text.front())) return false;
    return glob(pattern.substr(1), text.substr(1));
}

bool matches_reference(const std::string& pattern, const image::Reference& reference) {
    for (const std::string& form :
         {reference.familiar_name(), reference.familiar(), reference.name(), reference.str()})
        if (glob(pattern, form)) return true;
    return false;
}

/// Without the names that the filter `reference` does not choose: `docker images NAME` shows no
/// other name of the same image. False when none is left.
bool keep_named(const Filters& filters, image::Image& image) {
    if (filters.values("reference").empty()) return true;
    const auto other = [&](const image::Reference& reference) {
        return !filters.any("reference", [&](const std::string& pattern) {
            return matches_reference(pattern, reference);
        });
    };
    std::erase_if(image.tags, other);
    std::erase_if(image.digests, other);
    return !image.tags.empty() || !image.digests.empty();
}

using SharedSizes = std::map<Digest, std::int64_t>;

/// What each image has in common with another one.
SharedSizes shared_sizes(const std::vector<image::Image>& images) {
    std::map<Digest, int> shares;
    for (const image::Image& image : images)
        for (const Digest& layer : image.chain_ids) ++shares[layer];
    SharedSizes sizes;
    for (const image::Image& image : images)
        for (std::size_t i = 0; i < image.chain_ids.size() && i < image.layer_sizes.size(); ++i)
            if (shares.at(image.chain_ids[i]) > 1) sizes[image.id] += image.layer_sizes[i];
    return sizes;
}

json config_json(const model::ContainerConfig& config) {
    const json all = model::to_json(config);
    json picked = json::object();
    for (const char* key : {"Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "User", "Volumes",
                            "WorkingDir", "ExposedPorts", "StopSignal", "Shell", "Healthcheck"})
        if (all.contains(key)) picked[key] = all[key];
    if (config.labels.empty()) picked["Labels"] = nullptr;
    return picked;
}

json root_fs(const oci::ImageConfig& config) {
    json layers = json::array();
    for (const Digest& digest : config.diff_ids) layers.push_back(digest.str());
    return {{"Type", "layers"}, {"Layers", std::move(layers)}};
}

json graph_driver(const Context& context, const image::Image& image) {
    const std::string name(storage::to_string(context.storage.driver.kind));
    json data = nullptr;
    if (!image.chain_ids.empty()) {
        std::string lower;
        const auto directories = context.storage.layers.directories(image.chain_ids.back());
        for (std::size_t i = 1; i < directories.size(); ++i)
            lower += (lower.empty() ? "" : ":") + directories[i];
        data = {{"UpperDir", directories.front()}};
        if (!lower.empty()) data["LowerDir"] = lower;
    }
    return {{"Name", name}, {"Data", std::move(data)}};
}

/// What an URL names, while it comes.
std::unique_ptr<archive::Source> fetch(const std::string& url,
                                       std::shared_ptr<const image::RegistrySettings> settings,
                                       std::stop_token stop) {
    return std::make_unique<archive::ProducedSource>(
        [url, settings = std::move(settings), stop = std::move(stop)](archive::Sink& sink) {
            image::Transport transport(*settings);
            image::HttpRequest request;
            request.url = url;
            request.on_body = [&sink](long, std::string_view bytes) { sink.write(bytes); };
            const long status = transport.exchange(request, {}, stop).status;
            if (status / 100 != 2)
                throw Error(ErrorKind::invalid, "failed to GET {} with status {}", url, status);
        });
}

/// The image of the step before, where it was made here and is still there.
std::optional<image::Image> parent_of(const image::ImageStore& store, const image::Image& image) {
    if (!image.parent) return std::nullopt;
    try {
        return store.get(*image.parent);
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace

Images::Images(ImageDependencies dependencies)
    : state_(std::make_unique<ImageState>(std::move(dependencies))) {}
Images::~Images() = default;

image::ProgressCallback post_progress(async::Executor executor, ProgressSink sink) {
    auto shared = std::make_shared<ProgressSink>(std::move(sink));
    return [executor, shared](const image::Progress& progress) {
        boost::asio::post(
            executor, [shared, line = image::to_line(progress)] { (*shared)(parse_json(line)); });
    };
}

async::Task<void> Images::pull(PullRequest request, ProgressSink sink, std::stop_token stop) {
    static_cast<void>(image::wanted_platform(request.platform));  // told before anybody is asked
    image::PullRequest wanted{image::Reference::parse(request.from_image, request.tag),
                              request.platform, image::decode_registry_auth(request.registry_auth)};
    const image::Reference reference = wanted.reference;
    auto progress = post_progress(state_->deps.context.executor, std::move(sink));
    const std::shared_ptr<image::Puller> puller = state_->puller;
    auto job = [puller, wanted = std::move(wanted), progress = std::move(progress), stop] {
        puller->pull(wanted, progress, stop);
    };
    co_await state_->deps.context.pool.run_on_thread("pull", std::move(job));
    const auto pulled = state_->store->find(reference);
    state_->publish(reference.familiar(), "pull", reference.familiar_name(),
                    pulled ? pulled->labels : model::Labels());
}

async::Task<void> Images::load(UniqueFd tar, LoadRequest request, ProgressSink sink,
                               std::stop_token stop) {
    auto progress = post_progress(state_->deps.context.executor, std::move(sink));
    const auto file = std::make_shared<UniqueFd>(std::move(tar));
    ImageState* state = state_.get();
    image::LoadOptions options{.output = request.output == LoadOutput::quiet
                                             ? image::LoadOutput::quiet
                                             : image::LoadOutput::progress,
                               .platform = image::wanted_platform(request.platform)};
    auto job = [state, file, options = std::move(options), progress = std::move(progress), stop] {
        archive::FdSource source(*file);
        return image::load(*state->store, *state->layers, source, options, progress, stop);
    };
    const std::vector<Digest> loaded =
        co_await state->deps.context.pool.run_on_thread("load", std::move(job));
    for (const Digest& id : loaded) state->publish(id, "load", id.str());
}

async::Task<void> Images::save(SaveRequest request, UniqueFd into, std::stop_token stop) {
    ImageState* state = state_.get();
    const auto file = std::make_shared<UniqueFd>(std::move(into));
    auto job = [state, file, request = std::move(request), stop] {
        const auto wanted = image::wanted_platform(request.platform);
        const std::vector<image::SavedImage> plan = image::plan_save(*state->store, request.names);
        std::vector<Digest> layers;
        for (const image::SavedImage& saved : plan) {
            const std::string name =
                saved.names.empty() ? saved.image.id.str() : saved.names.front().familiar();
            image::check_platform(name, state->store->config(saved.image.id).platform, wanted);
            layers.insert(layers.end(), saved.image.chain_ids.begin(), saved.image.chain_ids.end());
        }
        const image::LayerLease lease = state->store->lease(std::move(layers));
        archive::FdSink sink(*file);
        image::save(*state->store, *state->archives, plan, sink, stop);
        return plan;
    };
    const std::vector<image::SavedImage> saved =
        co_await state->deps.context.pool.run_on_thread("save", std::move(job));
    file->reset();
    for (const image::SavedImage& each : saved)
        state->publish(each.image.id, "save", each.image.id.str());
}

async::Task<std::string> Images::import(UniqueFd tar, ImportRequest request, std::stop_token stop) {
    image::ImportRequest wanted;
    if (!request.repository.empty())
        wanted.reference =
            image::Reference::parse(request.repository, request.tag).with_default_tag();
    wanted.message = request.message;
    wanted.source = request.source;
    wanted.changes = request.changes;
    wanted.platform = request.platform;
    const std::string name = wanted.reference ? wanted.reference->familiar() : "";
    const auto file = std::make_shared<UniqueFd>(std::move(tar));
    ImageState* state = state_.get();
    auto job = [state, file, wanted = std::move(wanted), registry = state->registry, stop] {
        std::unique_ptr<archive::Source> source;
        if (wanted.source == "-")
            source = std::make_unique<archive::FdSource>(*file);
        else
            source = fetch(wanted.source, registry, stop);
        const auto ignore = [](const image::Progress&) {};
        return image::import_image(*state->store, *state->layers, *source, wanted, ignore, stop);
    };
    const Digest id = co_await state->deps.context.pool.run_on_thread("import", std::move(job));
    if (!name.empty()) state->publish(id, "tag", name);
    state->publish(id, "import", id.str());
    co_return id.str();
}

json Images::list(const ImageListRequest& request) const {
    const Filters& filters = request.filters;
    filters.check_keys({"before", "dangling", "label", "label!", "reference", "since", "until"});
    const std::optional<bool> dangling = filters.boolean("dangling");
    std::optional<Timestamp> before;
    std::optional<Timestamp> since;
    for (const std::string& name : filters.values("before"))
        before = state_->store->resolve(name).created;
    for (const std::string& name : filters.values("since"))
        since = state_->store->resolve(name).created;
    for (const std::string& text : filters.values("until"))
        before = model::time_from_query(text, Timestamp::now());
    std::vector<image::Image> images = state_->store->list();
    const auto shared = request.shared_size ? shared_sizes(images) : SharedSizes();
    std::set<Digest> parents;
    for (const image::Image& image : images)
        if (image.parent) parents.insert(*image.parent);
    json result = json::array();
    for (image::Image& image : images) {
        // A build's steps, below an image that is shown.
        const bool intermediate = image.dangling() && parents.contains(image.id);
        if (intermediate && (request.scope != ListScope::all || dangling == true)) continue;
        if (dangling && *dangling != image.dangling()) continue;
        if (before && image.created >= *before) continue;
        if (since && image.created <= *since) continue;
        if (!filters.labels(image.labels)) continue;
        if (!keep_named(filters, image)) continue;
        const auto uses = state_->uses ? state_->uses(image.id) : std::vector<image::ImageUse>();
        json summary = summary_json(image, static_cast<std::int64_t>(uses.size()));
        if (request.shared_size) {
            const auto size = shared.find(image.id);
            summary["SharedSize"] = size == shared.end() ? 0 : size->second;
        }
        result.push_back(std::move(summary));
    }
    return result;
}

json Images::inspect(const std::string& name, const std::string& platform) const {
    const image::Image image = state_->store->resolve(name);
    const oci::ImageConfig config = state_->store->config(image.id);
    image::check_platform(name, config.platform, image::wanted_platform(platform));
    const auto container = model::container_config_from(oci::to_json(config.config));
    json value = {{"Id", image.id.str()},
                  {"RepoTags", texts(image.repo_tags())},
                  {"RepoDigests", texts(image.repo_digests())},
                  {"Parent", image.parent ? image.parent->str() : ""},
                  {"Comment", config.comment},
                  {"Created", rfc3339(image.created)},
                  {"DockerVersion", config.docker_version},
                  {"Author", config.author},
                  {"Config", config_json(container)},
                  {"Architecture", config.platform.architecture},
                  {"Os", config.platform.os},
                  {"Size", image.size()},
                  {"GraphDriver", graph_driver(state_->deps.context, image)},
                  {"RootFS", root_fs(config)},
                  {"Metadata", {{"LastTagTime", rfc3339(image.last_tagged)}}}};
    if (!config.platform.variant.empty()) value["Variant"] = config.platform.variant;
    if (!config.os_version.empty()) value["OsVersion"] = config.os_version;
    return value;
}

json Images::history(const std::string& name, const std::string& platform) const {
    const image::Image image = state_->store->resolve(name);
    const oci::ImageConfig config = state_->store->config(image.id);
    image::check_platform(name, config.platform, image::wanted_platform(platform));
    json result = json::array();
    std::size_t layer = 0;
    for (const oci::HistoryEntry& entry : config.history) {
        std::int64_t size = 0;
        if (!entry.empty_layer && layer < image.layer_sizes.size())
            size = image.layer_sizes[layer++];
        json item = {{"Id", "<missing>"},
                     {"Created", entry.created.seconds()},
                     {"CreatedBy", entry.created_by},
                     {"Tags", nullptr},
                     {"Size", size},
                     {"Comment", entry.comment}};
        result.insert(result.begin(), std::move(item));
    }
    if (result.empty()) return result;
    std::optional<image::Image> made = image;
    for (json& item : result) {
        item["Id"] = made->id.str();
        if (!made->tags.empty()) item["Tags"] = texts(made->repo_tags());
        made = parent_of(*state_->store, *made);
        if (!made) break;
    }
    return result;
}

async::Task<void> Images::tag(std::string name, std::string repository, std::string tag) {
    const image::Image image = state_->store->resolve(name);
    if (image::Reference::parse(repository).digest())
        throw Error(ErrorKind::invalid, "cannot import digest reference");
    if (!tag.empty() && !image::Reference::is_valid_tag(tag))
        throw Error(ErrorKind::invalid, "invalid tag format");
    const image::Reference reference = image::Reference::parse(repository, tag).with_default_tag();
    image::ImageStore* store = state_->store.get();
    const Digest id = image.id;
    auto job = [store, reference, id] { store->tag(reference, id); };
    co_await state_->deps.context.pool.run(std::move(job));
    state_->publish(image.id.str(), "tag", reference.familiar(), image.labels);
}

async::Task<json> Images::remove(std::string name, ImageRemoveOptions options) {
    // Uses are looked up here, since the store asks on the worker's thread.
    const image::Image target = state_->store->resolve(name);
    const auto uses = state_->uses ? state_->uses(target.id) : std::vector<image::ImageUse>();
    ImageState* state = state_.get();
    const auto force = options.force ? image::Force::yes : image::Force::no;
    const auto prune = options.no_prune ? image::PruneParents::no : image::PruneParents::yes;
    auto job = [state, name, force, prune, uses, target, held = state->layers_of_containers()] {
        const image::FindUses find_uses = [&](const Digest& id) {
            return id == target.id ? uses : std::vector<image::ImageUse>();
        };
        image::Removal removal = state->store->remove(name, force, prune, find_uses);
        for (const Digest& layer : removal.layers.chain_ids())
            if (!held.contains(layer)) state->layers->remove(layer);
        std::erase_if(removal.records, [&held](const image::RemovalRecord& record) {
            return record.kind == image::RemovalRecord::Kind::deleted &&
                   held.contains(Digest::parse(record.what));
        });
        return removal.records;
    };
    const std::vector<image::RemovalRecord> records =
        co_await state->deps.context.pool.run(std::move(job));
    json result = json::array();
    for (const image::RemovalRecord& record : records) {
        const bool untagged = record.kind == image::RemovalRecord::Kind::untagged;
        result.push_back({{untagged ? "Untagged" : "Deleted", record.what}});
        const std::string id = target.id.str();
        if (untagged)
            state->publish(id, "untag", id, target.labels);
        else if (record.what == id)
            state->publish(id, "delete", id, {});
    }
    co_return result;
}

}  // namespace berth::engine
