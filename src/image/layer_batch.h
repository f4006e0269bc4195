// The layers of one image that is being made: leased from the start, and removed again at the end
// unless the image was added. Used by pull, load and import. One thread.
#pragma once

#include <optional>
#include <stop_token>
#include <vector>

#include "image/layer_sink.h"
#include "image/store.h"

namespace berth::image {

class LayerBatch final {
  public:
    LayerBatch(ImageStore& store, LayerSink& sink, std::vector<Digest> diff_ids);
    /// Removes what apply() made, unless keep() was called.
    ~LayerBatch();
    LayerBatch(const LayerBatch&) = delete;
    LayerBatch& operator=(const LayerBatch&) = delete;

    std::size_t count() const { return diff_ids_.size(); }
    const Digest& chain_id(std::size_t index) const { return chain_ids_.at(index); }
    std::optional<StoredLayer> find(std::size_t index) const;
    /// Layers go lowest first; the caller holds the claim.
    StoredLayer apply(std::size_t index, archive::Source& tar, std::stop_token stop);
    void keep() { kept_ = true; }

  private:
    ImageStore& store_;
    LayerSink& sink_;
    std::vector<Digest> diff_ids_;
    std::vector<Digest> chain_ids_;
    std::optional<LayerLease> lease_;
    std::vector<Digest> applied_;
    bool kept_ = false;
};

}  // namespace berth::image
