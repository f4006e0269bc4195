// The deep check of a store (`berth doctor --store`): configurations and manifests by their
// digests, layers against what was unpacked, what nothing names. And its mending: what is broken
// goes, so that a pull brings it anew. Blocks for as long as reading all layers takes; any thread,
// also beside pulls.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/digest.h"
#include "image/layer_sink.h"
#include "image/store.h"

namespace berth::image {

/// The layers as they lie on disk. The engine implements this with storage::LayerStore.
class LayerInventory {
  public:
    virtual ~LayerInventory() = default;
    virtual std::vector<Digest> chain_ids() = 0;
    /// Reads all of a layer; what is wrong with it, or nothing. Throws Error{cancelled}.
    virtual std::optional<std::string> problem_of(const Digest& chain_id, std::stop_token stop) = 0;
};

struct StoreFault final {
    enum class Kind { image, layer, manifest, unused_layer, unused_blob };
    Kind kind;
    Digest id;                       // manifest: of its image
    std::vector<std::string> names;  // of an image: what a pull would ask for
    std::string problem;
};

struct StoreReport final {
    std::size_t images = 0;
    std::size_t layers = 0;
    std::vector<StoreFault> faults;
};

/// `held`: layers that are not unused although no image has them, since containers are built on
/// them.
StoreReport check_store(const ImageStore& store, LayerInventory& layers,
                        const std::set<Digest>& held, std::stop_token stop);

struct StoreRepair final {
    std::vector<std::string> done;        // a line each
    std::vector<std::string> kept;        // what could not be mended, and why
    std::vector<std::string> pull_again;  // names of images that went
};

/// Removes what the report names. An image that a running container uses stays.
StoreRepair repair_store(ImageStore& store, LayerSink& sink, const StoreReport& report,
                         const FindUses& uses);

}  // namespace berth::image
