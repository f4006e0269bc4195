// The layers of one image that is being made: leased from the start, and removed again at the end
// unless the image was added. Several threads stage layers; one puts them in place, from the lowest
// up, all that are ready with one flush. A layer whose unpacking needs those below waits for them.
//
// No deadlock: layers are begun from the lowest up, and the lowest that is not staged waits for
// none.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "image/layer_sink.h"
#include "image/store.h"

namespace berth::image {

class LayerBatch final {
  public:
    LayerBatch(ImageStore& store, LayerSink& sink, std::vector<Digest> diff_ids);
    /// Removes what was put in place, unless keep() was called.
    ~LayerBatch();
    LayerBatch(const LayerBatch&) = delete;
    LayerBatch& operator=(const LayerBatch&) = delete;

    std::size_t count() const { return slots_.size(); }
    const Digest& diff_id(std::size_t index) const { return diff_ids_.at(index); }
    const Digest& chain_id(std::size_t index) const { return chain_ids_.at(index); }
    std::optional<StoredLayer> find(std::size_t index) const;

    // Any thread, each index once; the caller holds the claim.
    /// The layer is in place already.
    void found(std::size_t index, StoredLayer layer);
    void stage(std::size_t index, archive::Source& tar, const std::stop_token& stop);
    /// The same for one that was unpacked before its place was known.
    void adopt(std::size_t index, std::unique_ptr<StagedLayer> layer);
    /// Waits for the layers below `index`. It refers to this object.
    LowerLayers lower_of(std::size_t index, std::stop_token stop);

    // One thread:
    using OnLayer = std::function<void(std::size_t)>;
    /// Runs `stage` for every index on a few threads, lowest first (it calls found() or stage()),
    /// puts the layers in place as they get ready, and tells `placed` of each that it put there.
    /// The layers, lowest first. On failure it asks `stop` for a stop, waits for its threads and
    /// throws what came first.
    std::vector<StoredLayer> place_all(std::stop_source stop, const OnLayer& stage,
                                       const OnLayer& placed);
    /// stage() and commit_ready() of one layer; those below are in place.
    StoredLayer apply(std::size_t index, archive::Source& tar, const std::stop_token& stop);
    void keep() { kept_ = true; }

  private:
    struct Slot final {
        std::unique_ptr<StagedLayer> staged;
        std::optional<StoredLayer> stored;
        bool ready() const { return staged || stored; }
    };
    std::vector<UniqueFd> open_lower(std::size_t index, const std::stop_token& stop);
    /// Waits until the lowest layer that is not in place is staged and puts it there with those
    /// that are ready above it. Their indexes; none when all layers are in place.
    std::vector<std::size_t> commit_ready(const std::stop_token& stop);

    ImageStore& store_;
    LayerSink& sink_;
    const std::vector<Digest> diff_ids_;
    const std::vector<Digest> chain_ids_;
    std::optional<LayerLease> lease_;
    std::vector<Digest> applied_;
    bool kept_ = false;

    mutable std::mutex mutex_;  // guards slots_
    std::condition_variable_any changed_;
    std::vector<Slot> slots_;
};

}  // namespace berth::image
