// Where unpacked layers go. The engine implements this with storage::LayerStore; the tests with a
// fake. Called from pulling and loading threads, several at a time but never twice at a time for
// one chain id (pulls share a layer in flight, pull.h).
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

#include "base/digest.h"

namespace berth::archive {
class Source;
}

namespace berth::image {

struct LayerPlace final {
    std::optional<Digest> parent;  // chain id of the layer below; none for the lowest
    Digest diff_id;                // sha256 of the uncompressed tar
    Digest chain_id;               // names the layer
};

struct StoredLayer final {
    Digest chain_id;
    std::int64_t size = 0;  // bytes of the unpacked files of this layer alone
};

class LayerSink {
  public:
    virtual ~LayerSink() = default;
    /// The layer if it is there whole; it then stays as long as an image or a lease names it.
    virtual std::optional<StoredLayer> find(const Digest& chain_id) = 0;
    /// Unpacks `tar` (uncompressed) to its end of file, checks that its sha256 is `place.diff_id`,
    /// and only then makes the layer visible, synced. When it throws, nothing of it is left.
    /// Reads past the tar's end marker to the end of file: the source checks digests there and
    /// throws. Errors of `tar` pass through unchanged; cancellation is Error{cancelled}.
    virtual StoredLayer apply(const LayerPlace& place, archive::Source& tar,
                              std::stop_token stop) = 0;
    /// Deletes a layer that nothing names; an absent one is fine. Throws Error.
    virtual void remove(const Digest& chain_id) = 0;
};

}  // namespace berth::image
