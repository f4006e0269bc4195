#include "engine/image/derive.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "archive/produced_source.h"
#include "base/error.h"
#include "base/json.h"

namespace berth::engine {

namespace {

struct Work final {
    image::ImageStore& store;
    const storage::LayerStore& layer_store;
    Derivation from;
    std::stop_token stop;

    storage::Layer make_layer() const;
    DerivedImage add(const std::vector<storage::Layer>& layers) const;
    void drop(const Digest& chain_id) const;
    DerivedImage operator()();
};

storage::Layer Work::make_layer() const {
    archive::ProducedSource tar(from.write_layer);
    storage::ApplyRequest request;
    request.parent = from.top;
    return layer_store.apply(request, tar, stop);
}

DerivedImage Work::add(const std::vector<storage::Layer>& layers) const {
    oci::ImageConfig config = image::committed_config(from.commit, Timestamp::now());
    image::NewImage image;
    image.config = dump_json(oci::to_json(config));
    for (const storage::Layer& layer : layers) image.layers.push_back({layer.chain_id, layer.size});
    image.parent = from.parent;
    if (from.reference) image.references = {*from.reference};
    std::optional<Digest> top;
    if (!layers.empty()) top = layers.back().chain_id;
    image::AddedImage added = store.add(image);
    return {added.id, std::move(top), std::move(config), std::move(added.hold)};
}

/// Unless an image has it after all.
void Work::drop(const Digest& chain_id) const {
    const image::UnusedLayers unused = store.unused_of({chain_id});
    for (const Digest& layer : unused.chain_ids()) layer_store.remove(layer);
}

DerivedImage Work::operator()() {
    std::vector<storage::Layer> layers = layers_up_to(layer_store, from.top);
    std::vector<Digest> below;
    for (const storage::Layer& layer : layers) below.push_back(layer.chain_id);
    const image::LayerLease lease = store.lease(below);
    if (!from.write_layer) return add(layers);
    if (layers.size() == oci::kMaxLayers)
        throw Error(ErrorKind::invalid, "max depth exceeded: an image has at most {} layers",
                    oci::kMaxLayers);
    for (;;) {
        const storage::Layer layer = make_layer();
        std::optional<image::LayerLease> mine(store.lease({layer.chain_id}));
        // The very same layer was another image's, and went with it meanwhile.
        if (!layer_store.find(layer.chain_id)) continue;
        from.commit.diff_id = layer.diff_id;
        layers.push_back(layer);
        try {
            return add(layers);
        } catch (...) {
            mine.reset();
            drop(layer.chain_id);
            throw;
        }
    }
}

}  // namespace

std::vector<storage::Layer> layers_up_to(const storage::LayerStore& layers,
                                         const std::optional<Digest>& top) {
    std::vector<storage::Layer> found;
    for (std::optional<Digest> next = top; next;) {
        auto layer = layers.find(*next);
        if (!layer) throw Error(ErrorKind::not_found, "no such layer: {}", next->str());
        next = layer->parent;
        found.push_back(*std::move(layer));
    }
    std::ranges::reverse(found);
    return found;
}

DerivedImage derive_image(image::ImageStore& store, const storage::LayerStore& layers,
                          Derivation from, std::stop_token stop) {
    return Work{store, layers, std::move(from), std::move(stop)}();
}

}  // namespace berth::engine
