// Where the archives of stored layers come from. The engine implements this with
// storage::LayerStore, which makes them anew from the unpacked files. Any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "archive/stream.h"
#include "base/digest.h"

namespace berth::image {

struct LayerArchive final {
    std::int64_t size = 0;  // bytes that `tar` gives
    std::unique_ptr<archive::Source> tar;
};

class LayerArchives {
  public:
    virtual ~LayerArchives() = default;
    /// The uncompressed tar whose sha256 is the layer's diff id. Throws Error{not_found}.
    virtual LayerArchive open(const Digest& chain_id) = 0;
};

}  // namespace berth::image
