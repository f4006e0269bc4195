// The images of one data directory: which there are, which names they have, and the small blobs
// (configurations, manifests) behind them. Image id = sha256 of the configuration, as Docker's
// graph drivers present it; RepoDigests come from pulls. Compressed layers are not kept: a layer
// lives only unpacked, at the LayerSink. Thread-safe: readers take an immutable snapshot and never
// wait for a write; writers follow each other, each synced to disk (power) before it becomes
// visible.
//
//   DIR/content/blobs/sha256/HEX   configurations and manifests
//   DIR/content/ingest/            nameless temporary files of running operations, emptied at open
//   DIR/images/blobs.json          which blobs layers are at registries (blob_records.h)
//   DIR/images/repositories.json   {"v":1,"images":{id:{…}},"references":{full reference: id}}
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "archive/input_limits.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/unique_fd.h"
#include "image/layer_sink.h"
#include "image/reference.h"
#include "oci/image_spec.h"

namespace berth::image {

struct Image final {
    Digest id;
    std::vector<Reference> tags;     // with tag; sorted
    std::vector<Reference> digests;  // with manifest digest; sorted
    Timestamp created;
    Timestamp last_tagged;          // zero: never tagged here
    std::optional<Digest> parent;   // set for images built or committed here
    std::vector<Digest> chain_ids;  // lowest first
    std::vector<std::int64_t> layer_sizes;
    std::map<std::string, std::string> labels;

    std::int64_t size() const;
    bool dangling() const { return tags.empty(); }
    std::vector<std::string> repo_tags() const;     // familiar, for RepoTags
    std::vector<std::string> repo_digests() const;  // familiar, for RepoDigests
};

/// chain(1) = diff(1); chain(n) = sha256("chain(n-1) diff(n)").
std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids);

struct NewImage final {
    std::string config;                   // the bytes whose sha256 is the id
    std::vector<StoredLayer> layers;      // lowest first, one a diff id of the configuration
    std::optional<std::string> manifest;  // the bytes as they came from the registry
    std::optional<Digest> parent;
    std::vector<Reference> references;  // tags and digests that shall name it
};

struct MovedTag final {
    Reference reference;
    Digest old_id;
};

class ImageStore;

/// Keeps an image: it may lose its names, and is not removed. Ends with the object.
class ImageHold final {
  public:
    ImageHold(ImageHold&&) noexcept = default;
    ImageHold& operator=(ImageHold&&) noexcept = default;
    ~ImageHold();

  private:
    friend class ImageStore;
    ImageHold(ImageStore& store, const Digest& id);
    struct Release {
        void operator()(ImageStore* store) const;
        Digest id;
    };
    std::unique_ptr<ImageStore, Release> held_;
};

struct AddedImage final {
    Digest id;
    bool existed = false;
    std::vector<MovedTag> moved{};    // tags that named another image before
    std::optional<ImageHold> hold{};  // for who goes on with it
};

/// A container that uses an image.
struct ImageUse final {
    std::string container;  // full id
    bool running = false;
};
/// Which containers use the image; asked on the thread that calls remove().
using FindUses = std::function<std::vector<ImageUse>(const Digest& id)>;

enum class Opening {
    reconciled,  // entries whose configuration is missing or damaged go (open_notes() says which),
                 // blobs that nothing names go, ingest is emptied
    as_found,    // for a check: nothing changes
};

enum class Force { no, yes };
enum class PruneParents { no, yes };

struct RemovalRecord final {
    enum class Kind { untagged, deleted } kind;
    std::string what;  // familiar reference, image id or chain id
};

class BlobRecords;
class LayerClaims;

/// Keeps layers from being handed out for deletion. Ends with the object.
class LayerLease final {
  public:
    LayerLease(LayerLease&&) noexcept = default;
    LayerLease& operator=(LayerLease&&) = delete;
    ~LayerLease();

  private:
    friend class ImageStore;
    LayerLease(ImageStore& store, std::vector<Digest> chain_ids);
    struct Release {
        void operator()(ImageStore* store) const;
        std::vector<Digest> chain_ids;
    };
    std::unique_ptr<ImageStore, Release> held_;
};

/// Layers that no image and no lease names any more, children first. Delete them at the LayerSink,
/// then drop this object: until then nobody else can lease them.
class UnusedLayers final {
  public:
    UnusedLayers() = default;
    UnusedLayers(UnusedLayers&&) noexcept = default;
    UnusedLayers& operator=(UnusedLayers&&) noexcept = default;
    ~UnusedLayers();
    const std::vector<Digest>& chain_ids() const { return held_.get_deleter().chain_ids; }

  private:
    friend class ImageStore;
    UnusedLayers(ImageStore& store, std::vector<Digest> chain_ids);
    struct Release {
        void operator()(ImageStore* store) const;
        std::vector<Digest> chain_ids;
    };
    std::unique_ptr<ImageStore, Release> held_;
};

struct Removal final {
    std::vector<RemovalRecord> records;
    UnusedLayers layers;
};

class ImageStore final {
  public:
    /// Makes or opens the directory.
    explicit ImageStore(std::string directory, const archive::Expansion& expansion = {},
                        Opening opening = Opening::reconciled);
    ~ImageStore();
    ImageStore(const ImageStore&) = delete;
    ImageStore& operator=(const ImageStore&) = delete;
    /// How far what comes in may expand.
    const archive::Expansion& expansion() const { return expansion_; }
    /// What reconciling changed, a line each, for the log.
    const std::vector<std::string>& open_notes() const;

    /// Newest first.
    std::vector<Image> list() const;
    /// By id. Throws Error{not_found}.
    Image get(const Digest& id) const;
    /// By digest, name, id or unique id prefix. Throws Error{not_found} "No such image: X:tag",
    /// Error{invalid} for an ambiguous prefix.
    Image resolve(std::string_view text) const;
    std::optional<Image> find(const Reference& reference) const;
    /// The configuration as bytes and parsed. Throws Error.
    std::string config_text(const Digest& id) const;
    oci::ImageConfig config(const Digest& id) const;
    /// The manifests that it was pulled or pushed with, as bytes; damaged ones are left out.
    std::vector<std::string> manifests(const Digest& id) const;
    /// Layers that running operations keep.
    std::set<Digest> leased_layers() const;
    /// The manifests of an image that are damaged or missing.
    std::vector<Digest> damaged_manifests(const Digest& id) const;
    /// Forgets them: a pull or push brings others.
    void remove_damaged_manifests(const Digest& id);
    /// Configurations and manifests on disk that no image names.
    std::vector<Digest> unnamed_blobs() const;
    std::vector<Digest> remove_unnamed_blobs();
    bool names_layer(const Digest& chain_id) const;
    /// Every chain id an image names: layers outside of it may be deleted while nothing else runs.
    std::vector<Digest> layers_in_use() const;

    /// Adds or finds the image and points `references` at it, all in one write.
    AddedImage add(const NewImage& image);
    /// Points a tag at the image; the image it named before is returned. Error{invalid} for a
    /// digest.
    std::optional<Digest> tag(const Reference& reference, const Digest& id);
    /// As `docker rmi`: `text` as in resolve(). Throws Error{conflict} with Docker's texts.
    Removal remove(std::string_view text, Force force, PruneParents prune, const FindUses& uses);

    /// Throws Error{not_found}. May wait for another writer's disk.
    ImageHold hold(const Digest& id);

    /// Waits until none of these layers is being deleted, then keeps them.
    LayerLease lease(std::vector<Digest> chain_ids);
    /// Of these layers, those that nothing names; for an operation that failed.
    UnusedLayers unused_of(std::vector<Digest> chain_ids);

    /// Who is unpacking which layer, for pulls, loads and builds alike.
    LayerClaims& layer_claims();

    /// Which blobs its layers are at registries.
    BlobRecords& blob_records();

    /// A nameless file in content/ingest: it goes with its descriptor.
    UniqueFd make_temporary() const;

  private:
    struct State;
    friend class ImageHold;
    friend class LayerLease;
    friend class UnusedLayers;
    std::unique_ptr<State> state_;
    archive::Expansion expansion_;
};

}  // namespace berth::image
