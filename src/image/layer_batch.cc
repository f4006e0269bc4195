#include "image/layer_batch.h"

#include <algorithm>

#include "base/error.h"

namespace berth::image {

LayerBatch::LayerBatch(ImageStore& store, LayerSink& sink, std::vector<Digest> diff_ids)
    : store_(store),
      sink_(sink),
      diff_ids_(std::move(diff_ids)),
      chain_ids_(chain_ids(diff_ids_)),
      lease_(store.lease(chain_ids_)) {}

LayerBatch::~LayerBatch() {
    lease_.reset();
    if (kept_ || applied_.empty()) return;
    try {
        std::ranges::reverse(applied_);
        const UnusedLayers unused = store_.unused_of(applied_);
        for (const Digest& chain_id : unused.chain_ids()) sink_.remove(chain_id);
    } catch (const std::exception&) {
        // A layer that nothing names is collected when the engine starts the next time.
    }
}

std::optional<StoredLayer> LayerBatch::find(std::size_t index) const {
    return sink_.find(chain_ids_.at(index));
}

StoredLayer LayerBatch::apply(std::size_t index, archive::Source& tar, std::stop_token stop) {
    LayerPlace place{
        .parent = std::nullopt, .diff_id = diff_ids_.at(index), .chain_id = chain_ids_.at(index)};
    if (index > 0) place.parent = chain_ids_[index - 1];
    StoredLayer layer = sink_.apply(place, tar, std::move(stop));
    applied_.push_back(place.chain_id);
    return layer;
}

}  // namespace berth::image
