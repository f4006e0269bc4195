// A new image out of another one's layers, with one more entry of history and at most one more
// layer: what commit and the steps of a build make. Synchronous; any worker thread.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "archive/stream.h"
#include "image/commit.h"
#include "image/store.h"
#include "storage/layer_store.h"

namespace berth::engine {

struct Derivation final {
    std::optional<Digest> top;     // the layers below; none: there is none
    std::optional<Digest> parent;  // the image it comes from
    image::Commit commit;          // its base has the diff ids of the layers below
    std::optional<image::Reference> reference;
    std::function<void(archive::Sink&)> write_layer;  // a tar; empty: no layer is added
};

struct DerivedImage final {
    Digest id;
    std::optional<Digest> top;
    oci::ImageConfig config;
    std::optional<image::ImageHold> hold{};
};

/// Throws Error; nothing of a layer stays then.
DerivedImage derive_image(image::ImageStore& store, const storage::LayerStore& layers,
                          Derivation from, std::stop_token stop);

/// A layer and all below it, lowest first. Throws Error{not_found}.
std::vector<storage::Layer> layers_up_to(const storage::LayerStore& layers,
                                         const std::optional<Digest>& top);

}  // namespace berth::engine
