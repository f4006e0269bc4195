// Images inside the engine: the store, the puller and the adapter that puts their layers into the
// storage. Engine thread, but for the LayerSink, which worker threads call.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/images.h"
#include "engine/model/container_config.h"
#include "image/layer_archives.h"
#include "image/layer_sink.h"
#include "image/pull.h"
#include "image/store.h"

namespace berth::engine {

struct ImageDependencies final {
    Context context;
};

/// What a container takes from its image.
struct ImageForContainer final {
    std::string id;
    std::string top_layer;  // chain id; empty without layers
    std::string manifest;
    std::string platform;  // os/architecture[/variant]
    model::ContainerConfig config;
};

/// The layers `tops` (chain ids; empty ones are passed over) and all below them.
std::set<Digest> with_lower_layers(const storage::LayerStore& layers,
                                   const std::vector<std::string>& tops);

/// Puts layers into the storage. The sink borrows it; any thread.
std::unique_ptr<image::LayerSink> make_layer_sink(const storage::LayerStore& layers);

struct ImageState final {
    explicit ImageState(ImageDependencies dependencies);

    ImageDependencies deps;
    std::unique_ptr<image::LayerSink> layers;
    std::unique_ptr<image::LayerArchives> archives;
    std::unique_ptr<image::ImageStore> store;
    /// How registries are reached; work that runs keeps its own.
    std::shared_ptr<const image::RegistrySettings> registry;
    std::shared_ptr<image::Puller> puller;  // a pull that runs keeps its own
    /// Containers made from an image; set by the engine.
    image::FindUses uses;
    /// Chain ids of the layers that containers are built on; set by the engine.
    std::function<std::vector<std::string>()> top_layers;

    /// Opens the store.
    void load();
    /// Removes layers that neither an image nor a container has; once containers are known, and
    /// before anything is served.
    void collect_layers() const;
    /// All layers that containers are built on: they outlive their image where its removal was
    /// forced.
    std::set<Digest> layers_of_containers() const;
    /// Removes those of the layers `tops` and below them that neither an image nor a container has
    /// any more.
    async::Task<void> drop_unused_layers(std::vector<std::string> tops);
    /// Later pulls use the mirrors, registries and limits of the settings as they are now.
    void apply_registry_settings();
    /// Throws Error{not_found} "No such image: X:tag".
    ImageForContainer for_container(const std::string& name) const;
    /// True when `name` (a tag) still points at the image.
    bool still_named(const std::string& name, const std::string& image_id) const;
    /// `labels` are the image's, which dockerd's events carry.
    void publish(const std::string& actor, const std::string& action, const std::string& name,
                 const model::Labels& labels) const;
    /// The same of the image with that id, if there is one.
    void publish(const Digest& id, const std::string& action, const std::string& name) const;

  private:
    void drop_incomplete();
};

}  // namespace berth::engine
