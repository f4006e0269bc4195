// Where unpacked layers go. The engine implements this with storage::LayerStore; the tests with a
// fake. Called from pulling and loading threads, several at a time. A layer is unpacked first
// (staged), beside others, and put in place later (committed), from the lowest up; never twice at
// a time for one chain id (LayerClaims).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "base/digest.h"
#include "base/unique_fd.h"

namespace berth::archive {
class Source;
}

namespace berth::image {

struct StoredLayer final {
    Digest chain_id;
    std::int64_t size = 0;  // bytes of the unpacked files of this layer alone
};

/// Opens the files of the layers below, top first; waits until they are unpacked. Throws
/// Error{cancelled}.
using LowerLayers = std::function<std::vector<UniqueFd>()>;

struct StageRequest final {
    LowerLayers lower;              // empty for a lowest layer
    std::optional<Digest> diff_id;  // what the sha256 of the uncompressed tar must be
};

/// A layer that is unpacked, but not in place. What was not committed goes with this object.
class StagedLayer {
  public:
    virtual ~StagedLayer() = default;
    virtual const Digest& diff_id() const = 0;
    /// The directory of its files.
    virtual UniqueFd files() const = 0;
};

class LayerSink {
  public:
    virtual ~LayerSink() = default;
    /// The layer if it is there whole; it then stays as long as an image or a lease names it.
    virtual std::optional<StoredLayer> find(const Digest& chain_id) = 0;
    /// Unpacks `tar` to its end of file and checks its digest. Asks for the layers below only
    /// where an entry needs them. Reads past the tar's end marker to the end of file: the source
    /// checks digests there and throws. Errors of `tar` pass through unchanged; cancellation is
    /// Error{cancelled}.
    virtual std::unique_ptr<StagedLayer> stage(const StageRequest& request, archive::Source& tar,
                                               std::stop_token stop) = 0;
    /// Makes layers visible, synced: the first on top of `parent`, each other on the one before.
    virtual std::vector<StoredLayer> commit(const std::optional<Digest>& parent,
                                            const std::vector<StagedLayer*>& staged) = 0;
    /// The files of a layer and of all below it, top first. Throws Error{not_found}.
    virtual std::vector<UniqueFd> open_files(const Digest& chain_id) = 0;
    /// Deletes a layer that nothing names; an absent one is fine. Throws Error.
    virtual void remove(const Digest& chain_id) = 0;
};

}  // namespace berth::image
