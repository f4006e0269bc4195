// Image layers below DIR/layers, one directory a chain id: `<hex>/fs` holds the files in overlay's
// own form (whiteouts as devices 0:0, opaque directories by user.overlay.opaque),
// `<hex>/tar.gz` what the archive had besides (tar_record.h) and `<hex>/layer.json` the record.
// Layers are immutable once they are there; they appear whole, by rename, never before those below.
// Synchronous and stateless between calls: any thread, several at a time. Runs as root of the user
// namespace. Throws Error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/stream.h"
#include "archive/tar_reader.h"
#include "base/digest.h"
#include "storage/layer_writer.h"
#include "storage/tar_record.h"

namespace berth::storage {

struct Layer final {
    Digest chain_id;
    Digest diff_id;  // of the uncompressed tar
    std::optional<Digest> parent;
    std::int64_t size = 0;               // content of all regular files, in bytes
    std::int64_t tar_size = 0;           // of the uncompressed tar; 0 where it was not recorded
    std::vector<std::string> skipped;    // devices, which a user namespace cannot make
    std::vector<ReplacedFile> replaced;  // for open_tar()
};

/// sha256("PARENT DIFF"), or the diff id itself for a lowest layer.
Digest chain_id_of(const std::optional<Digest>& parent, const Digest& diff_id);

struct ApplyRequest final {
    std::optional<Digest> parent;            // chain id; must be there
    std::optional<Digest> expected_diff_id;  // another one is Error{invalid}
};

struct StageRequest final {
    LowerLayers lower;                       // empty for a lowest layer
    std::optional<Digest> expected_diff_id;  // another one is Error{invalid}
};

/// A layer that is unpacked and verified, but not in place and not synced. Goes with this object.
class StagedLayer final {
  public:
    ~StagedLayer();
    StagedLayer(const StagedLayer&) = delete;
    StagedLayer& operator=(const StagedLayer&) = delete;
    const Digest& diff_id() const { return layer_->diff_id; }
    /// Of the directory that has its files, also when it is in place by now.
    BorrowedFd files() const { return files_; }

  private:
    friend class LayerStore;
    explicit StagedLayer(std::string path);

    std::string path_;  // empty once it is in place
    UniqueFd files_;
    std::optional<Layer> layer_;  // set at the end of unpacking; its place comes with commit()
    bool has_root_ = false;
};

class LayerStore final {
  public:
    /// Makes DIR/layers when absent and removes what a crash left half-made: nothing else may be
    /// applying at that time, in any process.
    static LayerStore open(const std::string& directory, const archive::TarLimits& limits = {});

    std::optional<Layer> find(const Digest& chain_id) const;
    /// Every layer there is; a record that cannot be read is left out.
    std::vector<Layer> list() const;
    /// The names of all, with a readable record or not.
    std::vector<Digest> chain_ids() const;
    /// Unpacks a tar (compressed in any known way, or not) on top of `request.parent` and puts the
    /// layer in place, synced to disk. A layer that is there already is not replaced. Nothing of a
    /// failed or stopped one stays. Throws Error{invalid} for a bad archive, {cancelled} on stop.
    Layer apply(const ApplyRequest& request, archive::Source& tar, std::stop_token stop = {}) const;
    /// The first half of apply(), which needs the layers below only at some entries.
    std::unique_ptr<StagedLayer> stage(const StageRequest& request, archive::Source& tar,
                                       std::stop_token stop = {}) const;
    /// The second half for several layers at once, each on top of the one before it and the first
    /// on top of `parent`: one flush, then all are there.
    std::vector<Layer> commit(const std::optional<Digest>& parent,
                              const std::vector<StagedLayer*>& staged) const;
    /// The layer's archive, byte for byte as it was applied (uncompressed): its sha256 is the diff
    /// id. Throws Error{not_found}.
    std::unique_ptr<archive::Source> open_tar(const Digest& chain_id) const;
    /// Reads a whole layer and compares it with its diff id. Throws Error saying what is wrong:
    /// also for an absent parent or an unreadable record; {cancelled} on stop.
    void verify(const Digest& chain_id, std::stop_token stop = {}) const;
    /// The caller has made sure that nothing uses it. An absent layer is fine.
    void remove(const Digest& chain_id) const;
    /// The file directories of a layer and all below it, top first. Throws Error{not_found}.
    std::vector<std::string> directories(const Digest& top) const;
    /// The same, opened (O_PATH).
    std::vector<UniqueFd> open_files(const Digest& top) const;
    /// Sum of the sizes of all layers.
    std::int64_t usage() const;

  private:
    LayerStore(std::string directory, const archive::TarLimits& limits)
        : directory_(std::move(directory)), limits_(limits) {}
    std::string path_of(const Digest& chain_id) const;
    void put_in_place(StagedLayer& staged) const;

    std::string directory_;      // DIR/layers
    archive::TarLimits limits_;  // of one layer
};

}  // namespace berth::storage
