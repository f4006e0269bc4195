#include "engine/image/state.h"

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

    image::StoredLayer apply(const image::LayerPlace& place, archive::Source& tar,
                             std::stop_token stop) override {
        storage::ApplyRequest request;
        request.parent = place.parent;
        request.expected_diff_id = place.diff_id;
        const storage::Layer layer = layers_.apply(request, tar, std::move(stop));
        return {layer.chain_id, layer.size};
    }

    void remove(const Digest& chain_id) override { layers_.remove(chain_id); }

  private:
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

image::RegistrySettings registry_settings(const Settings& settings) {
    image::RegistrySettings registry;
    registry.mirrors = settings.registry_mirrors;
    registry.insecure_registries = settings.insecure_registries;
    registry.parallel_downloads = settings.max_concurrent_downloads;
    registry.download_attempts = settings.max_download_attempts;
    registry.http_proxy = settings.http_proxy;
    registry.https_proxy = settings.https_proxy;
    registry.no_proxy = settings.no_proxy;
    if (!settings.certificates_directory.empty())
        registry.certificate_directories = {settings.certificates_directory};
    return registry;
}

}  // namespace

ImageState::ImageState(ImageDependencies dependencies) : deps(std::move(dependencies)) {}

void ImageState::load() {
    const Context& context = deps.context;
    layers = std::make_unique<StorageSink>(context.storage.layers);
    archives = std::make_unique<StorageArchives>(context.storage.layers);
    store = std::make_unique<image::ImageStore>(context.settings.data_root);
    for (const std::string& note : store->open_notes()) log::warn("images: {}", note);
    apply_registry_settings();
    std::set<Digest> wanted;
    for (const Digest& digest : store->layers_in_use()) wanted.insert(digest);
    for (const storage::Layer& layer : context.storage.layers.list())
        if (!wanted.contains(layer.chain_id)) context.storage.layers.remove(layer.chain_id);
}

void ImageState::apply_registry_settings() {
    puller =
        std::make_shared<image::Puller>(*store, *layers, registry_settings(deps.context.settings));
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
                         const std::string& name) const {
    Event event;
    event.type = "image";
    event.action = action;
    event.actor = actor;
    event.attributes = {{"name", name}};
    deps.context.events.publish(std::move(event));
}

}  // namespace berth::engine
