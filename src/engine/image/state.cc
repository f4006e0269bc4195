#include "engine/image/state.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/log.h"
#include "image/registry_settings.h"

namespace berth::engine {

namespace {

/// Puts layers into the storage. Any thread.
class StorageSink final : public image::LayerSink {
  public:
    explicit StorageSink(const storage::LayerStore& layers) : layers_(layers) {}

    std::optional<image::StoredLayer> find(const Digest& chain_id) override {
        const std::optional<storage::Layer> layer = layers_.find(chain_id);
        if (!layer) return std::nullopt;
        return image::StoredLayer{layer->chain_id, layer->size};
    }

    std::unique_ptr<image::StagedLayer> stage(const image::StageRequest& request,
                                              archive::Source& tar, std::stop_token stop) override {
        storage::StageRequest wanted;
        wanted.lower = request.lower;
        wanted.expected_diff_id = request.diff_id;
        return std::make_unique<Staged>(layers_.stage(wanted, tar, std::move(stop)));
    }

    std::vector<image::StoredLayer> commit(
        const std::optional<Digest>& parent,
        const std::vector<image::StagedLayer*>& staged) override {
        std::vector<storage::StagedLayer*> layers;
        for (image::StagedLayer* each : staged)
            layers.push_back(static_cast<Staged*>(each)->layer.get());
        std::vector<image::StoredLayer> stored;
        for (const storage::Layer& layer : layers_.commit(parent, layers))
            stored.push_back({layer.chain_id, layer.size});
        return stored;
    }

    std::vector<UniqueFd> open_files(const Digest& chain_id) override {
        return layers_.open_files(chain_id);
    }

    void remove(const Digest& chain_id) override { layers_.remove(chain_id); }

  private:
    struct Staged final : image::StagedLayer {
        explicit Staged(std::unique_ptr<storage::StagedLayer> from) : layer(std::move(from)) {}
        const Digest& diff_id() const override { return layer->diff_id(); }
        UniqueFd files() const override { return duplicate(layer->files()); }
        std::unique_ptr<storage::StagedLayer> layer;
    };

    const storage::LayerStore& layers_;
};

/// Gives their archives back. Any thread.
class StorageArchives final : public image::LayerArchives {
  public:
    explicit StorageArchives(const storage::LayerStore& layers) : layers_(layers) {}

    image::LayerArchive open(const Digest& chain_id) override {
        const std::optional<storage::Layer> layer = layers_.find(chain_id);
        return {layer ? layer->tar_size : 0, layers_.open_tar(chain_id)};
    }

  private:
    const storage::LayerStore& layers_;
};

/// Nothing for one whose record cannot be read, too.
std::optional<storage::Layer> find_layer(const storage::LayerStore& layers,
                                         const Digest& chain_id) {
    try {
        return layers.find(chain_id);
    } catch (const Error&) {
        return std::nullopt;
    }
}

image::RegistrySettings registry_settings(const Settings& settings) {
    image::RegistrySettings registry;
    registry.mirrors = settings.registry_mirrors;
    registry.insecure_registries = settings.insecure_registries;
    registry.parallel_downloads = settings.max_concurrent_downloads;
    registry.parallel_uploads = settings.max_concurrent_uploads;
    registry.download_attempts = settings.max_download_attempts;
    registry.http_proxy = settings.http_proxy;
    registry.https_proxy = settings.https_proxy;
    registry.no_proxy = settings.no_proxy;
    if (!settings.certificates_directory.empty())
        registry.certificate_directories = {settings.certificates_directory};
    return registry;
}

}  // namespace

std::set<Digest> with_lower_layers(const storage::LayerStore& layers,
                                   const std::vector<std::string>& tops) {
    std::set<Digest> found;
    for (const std::string& top : tops) {
        if (top.empty()) continue;
        std::optional<Digest> next = Digest::parse(top);
        while (next && found.insert(*next).second) {
            const auto layer = find_layer(layers, *next);
            next = layer ? layer->parent : std::nullopt;
        }
    }
    return found;
}

std::unique_ptr<image::LayerSink> make_layer_sink(const storage::LayerStore& layers) {
    return std::make_unique<StorageSink>(layers);
}

ImageState::ImageState(ImageDependencies dependencies) : deps(std::move(dependencies)) {}

void ImageState::load() {
    const Context& context = deps.context;
    layers = make_layer_sink(context.storage.layers);
    archives = std::make_unique<StorageArchives>(context.storage.layers);
    const archive::Expansion expansion{
        .ratio = static_cast<std::uint64_t>(context.settings.max_layer_expansion),
        .setting = "max-layer-expansion"};
    store = std::make_unique<image::ImageStore>(context.settings.data_root, expansion);
    for (const std::string& note : store->open_notes()) log::warn("images: {}", note);
    apply_registry_settings();
    drop_incomplete();
}

void ImageState::collect_layers() const {
    std::set<Digest> wanted = layers_of_containers();
    for (const Digest& digest : store->layers_in_use()) wanted.insert(digest);
    for (const Digest& chain_id : deps.context.storage.layers.chain_ids())
        if (!wanted.contains(chain_id)) deps.context.storage.layers.remove(chain_id);
}

std::set<Digest> ImageState::layers_of_containers() const {
    return top_layers ? with_lower_layers(deps.context.storage.layers, top_layers())
                      : std::set<Digest>();
}

async::Task<void> ImageState::drop_unused_layers(std::vector<std::string> tops) {
    std::erase_if(tops, [this](const std::string& top) {
        return top.empty() || store->names_layer(Digest::parse(top));
    });
    if (tops.empty()) co_return;
    auto job = [this, tops, held = layers_of_containers()] {
        const storage::LayerStore& stored = deps.context.storage.layers;
        std::vector<Digest> wanted;  // children first
        for (const std::string& top : tops)
            for (std::optional<Digest> next = Digest::parse(top); next;) {
                if (!held.contains(*next)) wanted.push_back(*next);
                const auto layer = find_layer(stored, *next);
                next = layer ? layer->parent : std::nullopt;
            }
        const image::UnusedLayers unused = store->unused_of(std::move(wanted));
        for (const Digest& chain_id : unused.chain_ids()) stored.remove(chain_id);
    };
    co_await deps.context.pool.run(std::move(job));
}

// Of a disk that lost something: a pull brings such an image whole again.
void ImageState::drop_incomplete() {
    for (const image::Image& image : store->list()) {
        const auto lost = std::ranges::find_if_not(image.chain_ids, [&](const Digest& chain_id) {
            return find_layer(deps.context.storage.layers, chain_id).has_value();
        });
        if (lost == image.chain_ids.end()) continue;
        log::warn("images: {} ({}) dropped: its layer {} is missing; pull or load it again",
                  image.id.short_hex(), fmt::join(image.repo_tags(), ", "), lost->short_hex());
        try {
            store->remove(image.id.str(), image::Force::yes, image::PruneParents::no,
                          [](const Digest&) { return std::vector<image::ImageUse>(); });
        } catch (const Error& error) {
            log::warn("images: {}", error.message());
        }
    }
}

void ImageState::apply_registry_settings() {
    registry =
        std::make_shared<const image::RegistrySettings>(registry_settings(deps.context.settings));
    puller = std::make_shared<image::Puller>(*store, *layers, *registry);
}

ImageForContainer ImageState::for_container(const std::string& name) const {
    const image::Image found = store->resolve(name);
    const oci::ImageConfig config = store->config(found.id);
    ImageForContainer result;
    result.id = found.id.str();
    if (!found.chain_ids.empty()) result.top_layer = found.chain_ids.back().str();
    if (!found.digests.empty() && found.digests.front().digest())
        result.manifest = found.digests.front().digest()->str();
    result.platform = config.platform.str();
    result.config = model::container_config_from(oci::to_json(config.config));
    return result;
}

bool ImageState::still_named(const std::string& name, const std::string& image_id) const {
    if (name == image_id || image_id.starts_with("sha256:" + name)) return true;
    try {
        const auto found = store->find(image::Reference::parse(name).with_default_tag());
        return found && found->id.str() == image_id;
    } catch (const Error&) {
        return false;
    }
}

void ImageState::publish(const std::string& actor, const std::string& action,
                         const std::string& name, const model::Labels& labels) const {
    Event event;
    event.type = "image";
    event.action = action;
    event.actor = actor;
    event.attributes = labels;
    event.attributes["name"] = name;
    deps.context.events.publish(std::move(event));
}

void ImageState::publish(const Digest& id, const std::string& action,
                         const std::string& name) const {
    model::Labels labels;
    try {
        labels = store->get(id).labels;
    } catch (const Error&) {
        // It went meanwhile.
    }
    publish(id.str(), action, name, labels);
}

}  // namespace berth::engine
