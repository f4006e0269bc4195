#include "engine/housekeeping.h"

#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "async/sync.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/containers/sizes.h"
#include "engine/housekeeping_state.h"
#include "engine/model/times.h"
#include "storage/copy_tree.h"

namespace berth::engine {

using nlohmann::json;

namespace {

json null_when_empty(json list) { return list.empty() ? json() : std::move(list); }

/// Runs while it lives; a second one at that time is refused in Docker's words.
class OnlyOne final {
  public:
    explicit OnlyOne(bool& running) : running_(running) {
        if (running_) throw Error(ErrorKind::conflict, "a prune operation is already running");
        running_ = true;
    }
    ~OnlyOne() { running_ = false; }
    OnlyOne(const OnlyOne&) = delete;
    OnlyOne& operator=(const OnlyOne&) = delete;

  private:
    bool& running_;
};

void publish_prune(Events& events, const char* type, std::int64_t reclaimed) {
    Event event;
    event.type = type;
    event.action = "prune";
    event.attributes = {{"reclaimed", std::to_string(reclaimed)}};
    events.publish(std::move(event));
}

/// Nothing is younger than it: without the filter all things are old enough.
Timestamp newest_of(const Filters& filters) {
    if (filters.values("until").size() > 1)
        throw Error(ErrorKind::invalid, "more than one until filter specified");
    Timestamp until{std::numeric_limits<std::int64_t>::max()};
    for (const std::string& text : filters.values("until"))
        until = std::min(until, model::time_from_query(text, Timestamp::now()));
    return until;
}

/// An element of BuildCache.
json cache_json(const CacheFacts& cache) {
    return {{"ID", cache.name},
            {"Type", kCacheType},
            {"Description", cache.description()},
            {"InUse", cache.in_use},
            {"Shared", false},
            {"Size", cache.size},
            {"CreatedAt", rfc3339(cache.created)},
            {"LastUsedAt", rfc3339(cache.used)},
            {"UsageCount", 1},
            {"Parents", nullptr}};
}

bool is_over(const Container& container) {
    const model::Status status = container.record.state.status;
    const bool ended = status == model::Status::created || status == model::Status::exited ||
                       status == model::Status::dead;
    return container.record.made_for == model::MadeFor::client && ended && !container.starting &&
           !container.removing;
}

/// Sizes of all layers by their chain id.
std::map<std::string, std::int64_t> layer_sizes(const image::ImageStore& store) {
    std::map<std::string, std::int64_t> sizes;
    for (const image::Image& image : store.list())
        for (std::size_t i = 0; i < image.chain_ids.size() && i < image.layer_sizes.size(); ++i)
            sizes[image.chain_ids[i].str()] = image.layer_sizes[i];
    return sizes;
}

async::Task<std::int64_t> volume_size(const VolumeState& volumes, std::string name) {
    auto job = [path = volumes.mountpoint(name)]() -> std::int64_t {
        try {
            return storage::tree_size(open_file(path, O_RDONLY | O_DIRECTORY));
        } catch (const Error&) {
            return 0;  // it goes just now
        }
    };
    co_return co_await volumes.deps.context.pool.run(std::move(job));
}

bool passed_over(const Error& error, const std::string& what) {
    log::debug("{} is not pruned: {}", what, error.message());
    return error.kind() != ErrorKind::cancelled;
}

}  // namespace

struct Housekeeping::State final {
    explicit State(HousekeepingDependencies dependencies) : deps(dependencies) {}

    HousekeepingDependencies deps;
    bool pruning_containers = false, pruning_images = false, pruning_volumes = false,
         pruning_cache = false;
    async::Lock measuring;  // a df reads much: one after the other

    ContainerState& containers() { return deps.containers.state(); }
    ImageState& images() { return deps.images.state(); }
    VolumeState& volumes() { return deps.volumes.state(); }
    Events& events() { return containers().deps.context.events; }

    async::Task<json> image_usage();
    async::Task<json> container_usage();
    async::Task<json> volume_usage();
    const Context& context() { return containers().deps.context; }
    std::string builds() { return context().settings.data_root + "/builds"; }
};

Housekeeping::Housekeeping(HousekeepingDependencies dependencies)
    : state_(std::make_unique<State>(dependencies)) {}
Housekeeping::~Housekeeping() = default;

async::Task<json> Housekeeping::prune_containers(Filters filters) {
    filters.check_keys({"label", "label!", "until"});
    const Timestamp until = newest_of(filters);
    const OnlyOne only_one(state_->pruning_containers);
    std::vector<ContainerPtr> wanted;
    for (const auto& [id, container] : state_->containers().by_id)
        if (is_over(*container) && container->record.created < until &&
            filters.labels(container->record.config.labels))
            wanted.push_back(container);
    json deleted = json::array();
    std::int64_t reclaimed = 0;
    for (const ContainerPtr& container : wanted) {
        try {
            const Sizes sizes = co_await sizes_of(state_->containers(), container);
            if (!is_over(*container)) continue;
            co_await state_->deps.containers.remove(container->id(), {});
            deleted.push_back(container->id());
            reclaimed += sizes.writable;
        } catch (const Error& error) {
            if (!passed_over(error, "container " + container->id())) throw;
        }
    }
    publish_prune(state_->events(), "container", reclaimed);
    co_return json{{"ContainersDeleted", null_when_empty(std::move(deleted))},
                   {"SpaceReclaimed", reclaimed}};
}

namespace {

std::vector<image::Image> prunable_images(const ImageState& images, const Filters& filters) {
    const Timestamp until = newest_of(filters);
    const bool dangling_only = filters.boolean("dangling").value_or(true);
    const std::vector<image::Image> all = images.store->list();
    std::set<Digest> parents;
    for (const image::Image& image : all)
        if (image.parent) parents.insert(*image.parent);
    std::vector<image::Image> wanted;
    for (const image::Image& image : all) {
        // Steps on the way to another image go with that one.
        if (image.dangling() && parents.contains(image.id)) continue;
        if (dangling_only && !image.dangling()) continue;
        if (image.created >= until || !filters.labels(image.labels)) continue;
        if (images.uses && !images.uses(image.id).empty()) continue;
        wanted.push_back(image);
    }
    return wanted;
}

/// What removes the image: each of its names, or its id.
std::vector<std::string> names_of(const image::Image& image) {
    std::vector<std::string> names = image.repo_tags();
    const std::vector<std::string> digests = image.repo_digests();
    names.insert(names.end(), digests.begin(), digests.end());
    if (names.empty()) names.push_back(image.id.str());
    return names;
}

}  // namespace

async::Task<json> Housekeeping::prune_images(Filters filters) {
    filters.check_keys({"dangling", "label", "label!", "until"});
    const std::vector<image::Image> wanted = prunable_images(state_->images(), filters);
    const OnlyOne only_one(state_->pruning_images);
    const std::map<std::string, std::int64_t> sizes = layer_sizes(*state_->images().store);
    json deleted = json::array();
    for (const image::Image& image : wanted) {
        for (const std::string& name : names_of(image)) {
            try {
                const json records = co_await state_->deps.images.remove(name, {});
                deleted.insert(deleted.end(), records.begin(), records.end());
            } catch (const Error& error) {
                if (!passed_over(error, "image " + name)) throw;
            }
        }
    }
    std::int64_t reclaimed = 0;
    for (const json& record : deleted)
        if (const auto layer = sizes.find(record.value("Deleted", "")); layer != sizes.end())
            reclaimed += layer->second;
    publish_prune(state_->events(), "image", reclaimed);
    co_return json{{"ImagesDeleted", null_when_empty(std::move(deleted))},
                   {"SpaceReclaimed", reclaimed}};
}

async::Task<json> Housekeeping::prune_volumes(Filters filters, PrunedVolumes pruned) {
    filters.check_keys({"all", "label", "label!"});
    const bool named = filters.boolean("all").value_or(pruned == PrunedVolumes::all);
    const OnlyOne only_one(state_->pruning_volumes);
    VolumeState& volumes = state_->volumes();
    std::vector<std::string> wanted;
    for (const auto& [name, volume] : volumes.volumes)
        if ((named || volume.anonymous) && filters.labels(volume.labels)) wanted.push_back(name);
    json deleted = json::array();
    std::int64_t reclaimed = 0;
    for (const std::string& name : wanted) {
        try {
            if (volumes.users && !volumes.users(name).empty()) continue;
            const std::int64_t size = co_await volume_size(volumes, name);
            co_await state_->deps.volumes.remove(name, Force::no);
            deleted.push_back(name);
            reclaimed += size;
        } catch (const Error& error) {
            if (!passed_over(error, "volume " + name)) throw;
        }
    }
    publish_prune(state_->events(), "volume", reclaimed);
    co_return json{{"VolumesDeleted", std::move(deleted)}, {"SpaceReclaimed", reclaimed}};
}

async::Task<json> Housekeeping::State::image_usage() {
    ImageListRequest request;
    request.shared_size = true;
    co_return deps.images.list(request);
}

async::Task<json> Housekeeping::State::container_usage() {
    ListRequest request;
    request.scope = ListScope::all;
    request.size = WithSize::yes;
    co_return co_await deps.containers.list(std::move(request));
}

async::Task<json> Housekeeping::State::volume_usage() {
    json list = deps.volumes.list({}).at("Volumes");
    for (json& volume : list) {
        const std::string name = volume.at("Name").get<std::string>();
        const std::int64_t size = co_await volume_size(volumes(), name);
        const std::size_t users = volumes().users ? volumes().users(name).size() : 0;
        volume["UsageData"] = {{"Size", size}, {"RefCount", users}};
    }
    co_return list;
}

namespace {
/// Whether the filters name it: all of its kind are private and can change.
bool is_named(const CacheFacts& cache, const Filters& filters) {
    const auto flag = [&](std::string_view key, bool fact) {
        return filters.boolean(key).value_or(fact) == fact;
    };
    const auto matches = [](const std::string& text) {
        return [&text](const std::string& pattern) { return matches_pattern(pattern, text); };
    };
    return filters.any("id", matches(cache.name)) && filters.exact("type", kCacheType) &&
           filters.any("description", matches(cache.description())) &&
           flag("inuse", cache.in_use) && flag("shared", false) && flag("private", true) &&
           flag("mutable", true) && flag("immutable", false) && !filters.has("parent") &&
           filters.labels({});
}
}  // namespace

async::Task<std::vector<CacheFacts>> Housekeeping::prune_build_cache(Filters filters,
                                                                     CacheLimits limits) {
    filters.check_keys({"until", "unused-for", "id", "type", "description", "inuse", "shared",
                        "private", "mutable", "immutable", "parent", "label", "label!"});
    for (const std::string& text : filters.values("unused-for")) filters.add("until", text);
    const Timestamp until = newest_of(filters);
    const OnlyOne only_one(state_->pruning_cache);
    auto job = [builds = state_->builds(), filters, until, limits] {
        const auto wanted = [&](const CacheFacts& cache) {
            return cache.used < until && is_named(cache, filters);
        };
        return prune_caches(builds, wanted, limits);
    };
    std::vector<CacheFacts> removed =
        co_await state_->context().pool.run_on_thread("prune", std::move(job));
    std::int64_t reclaimed = 0;
    for (const CacheFacts& cache : removed) reclaimed += cache.size;
    publish_prune(state_->events(), "builder", reclaimed);
    co_return removed;
}

async::Task<std::vector<CacheFacts>> Housekeeping::build_cache(Filters filters) {
    auto job = [builds = state_->builds(), filters = std::move(filters)] {
        std::vector<CacheFacts> caches = list_caches(builds);
        std::erase_if(caches, [&](const CacheFacts& cache) { return !is_named(cache, filters); });
        return caches;
    };
    co_return co_await state_->context().pool.run_on_thread("df", std::move(job));
}

async::Task<json> Housekeeping::disk_usage(std::set<std::string> types) {
    static const std::set<std::string> kTypes{"container", "image", "volume", "build-cache"};
    for (const std::string& type : types)
        if (!kTypes.contains(type))
            throw Error(ErrorKind::invalid, "unknown object type: {}", type);
    if (types.empty()) types = kTypes;
    const async::Lock::Guard guard = co_await state_->measuring.acquire();
    json usage = {{"LayersSize", 0},    {"Images", nullptr},     {"Containers", nullptr},
                  {"Volumes", nullptr}, {"BuildCache", nullptr}, {"BuilderSize", 0}};
    if (types.contains("image")) {
        std::int64_t layers = 0;
        for (const auto& [chain, size] : layer_sizes(*state_->images().store)) layers += size;
        usage["LayersSize"] = layers;
        usage["Images"] = co_await state_->image_usage();
    }
    if (types.contains("container")) usage["Containers"] = co_await state_->container_usage();
    if (types.contains("volume")) usage["Volumes"] = co_await state_->volume_usage();
    if (types.contains("build-cache")) {
        const std::vector<CacheFacts> caches = co_await build_cache({});
        usage["BuildCache"] = json::array();
        for (const CacheFacts& cache : caches) {
            usage["BuildCache"].push_back(cache_json(cache));
            usage["BuilderSize"] = usage["BuilderSize"].get<std::int64_t>() + cache.size;
        }
    }
    co_return usage;
}

}  // namespace berth::engine
