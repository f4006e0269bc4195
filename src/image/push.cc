#include "image/push.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "archive/digester.h"
#include "base/error.h"
#include "base/json.h"
#include "image/blob_records.h"
#include "image/layer_push.h"
#include "image/platform.h"
#include "image/progress_log.h"
#include "oci/image_spec.h"

namespace berth::image {
namespace {

/// Where a layer's blob is made for OCI and for Docker: the same bytes, named differently.
enum class Family { docker, oci };

std::string layer_type(const std::string& known, Family family) {
    const bool zstd = known.ends_with("zstd");
    const bool gzip = known.ends_with("gzip");
    if (family == Family::oci)
        return std::string("application/vnd.oci.image.layer.v1.tar") + (zstd   ? "+zstd"
                                                                        : gzip ? "+gzip"
                                                                               : "");
    return std::string("application/vnd.docker.image.rootfs.diff.tar") + (gzip ? ".gzip" : "");
}

struct Manifest final {
    std::string text;
    oci::ImageManifest parsed;
    std::string media_type() const {
        return parsed.media_type.empty() ? std::string(oci::kOciManifest) : parsed.media_type;
    }
};

bool has_layers(const Manifest& manifest, const std::vector<oci::Descriptor>& blobs) {
    return std::ranges::equal(manifest.parsed.layers, blobs, {}, &oci::Descriptor::digest,
                              &oci::Descriptor::digest);
}

/// As Docker makes it: schema 2, but OCI's where a layer is compressed in a way that Docker's
/// media types have no name for.
Manifest make_manifest(const Digest& config, std::size_t config_size,
                       const std::vector<oci::Descriptor>& blobs) {
    const bool any_zstd = std::ranges::any_of(
        blobs, [](const oci::Descriptor& blob) { return blob.media_type.ends_with("zstd"); });
    const Family family = any_zstd ? Family::oci : Family::docker;
    oci::ImageManifest manifest{
        .media_type = std::string(family == Family::oci ? oci::kOciManifest : oci::kDockerManifest),
        .config = {.media_type = std::string(family == Family::oci ? oci::kOciImageConfig
                                                                   : oci::kDockerImageConfig),
                   .digest = config,
                   .size = static_cast<std::int64_t>(config_size),
                   .platform = {},
                   .annotations = {}},
        .layers = blobs};
    for (oci::Descriptor& layer : manifest.layers) {
        layer.media_type = layer_type(layer.media_type, family);
        layer.annotations.clear();
    }
    std::string text = dump_json(oci::to_json(manifest));
    return {.text = std::move(text), .parsed = std::move(manifest)};
}

/// One push of one repository.
class ImagePush final {
  public:
    ImagePush(ImageStore& store, LayerArchives& archives, const RegistrySettings& settings,
              const PushRequest& request, ProgressLog& progress, std::stop_token stop)
        : store_(store),
          archives_(archives),
          settings_(settings),
          target_(request.reference),
          progress_(progress),
          writer_(settings, request.reference.without_tag_and_digest(), request.credentials),
          stop_(std::move(stop)) {}

    /// The tags that are to be pushed.
    std::vector<Reference> tags() const;
    void run(const std::vector<Reference>& tags);

  private:
    void push_tag(const Reference& tag);
    std::vector<Manifest> manifests_of(const Digest& id) const;
    std::vector<PushLayer> layers_of(const Image& image, const std::vector<Digest>& diff_ids,
                                     const std::vector<Manifest>& manifests) const;
    void remember(const Reference& tag, const Image& image, const std::string& config,
                  const Manifest& manifest);

    ImageStore& store_;
    LayerArchives& archives_;
    const RegistrySettings& settings_;
    const Reference target_;
    ProgressLog& progress_;
    RegistryWriter writer_;
    std::stop_token stop_;
};

std::vector<Reference> ImagePush::tags() const {
    std::vector<Reference> all;
    for (const Image& image : store_.list())
        for (const Reference& tag : image.tags)
            if (tag.name() == target_.name()) all.push_back(tag);
    std::ranges::sort(all);
    if (all.empty())
        throw Error(ErrorKind::not_found, "An image does not exist locally with the tag: {}",
                    target_.familiar_name());
    if (!target_.tag()) return all;
    if (!store_.find(target_))
        throw Error(ErrorKind::not_found, "tag does not exist: {}", target_.familiar());
    return {target_};
}

std::vector<Manifest> ImagePush::manifests_of(const Digest& id) const {
    std::vector<Manifest> result;
    for (std::string& text : store_.manifests(id)) {
        oci::ImageManifest parsed = oci::parse_manifest(text);
        result.push_back({std::move(text), std::move(parsed)});
    }
    return result;
}

std::vector<PushLayer> ImagePush::layers_of(const Image& image, const std::vector<Digest>& diff_ids,
                                            const std::vector<Manifest>& manifests) const {
    std::vector<PushLayer> result;
    for (std::size_t i = 0; i < diff_ids.size(); ++i) {
        // The blobs of the image's own manifests first: with them its digest stays.
        std::vector<BlobRecord> known = store_.blob_records().of(diff_ids[i]);
        const auto is_own = [&](const BlobRecord& record) {
            return std::ranges::any_of(manifests, [&](const Manifest& manifest) {
                return manifest.parsed.layers.size() == diff_ids.size() &&
                       manifest.parsed.layers[i].digest == record.blob.digest;
            });
        };
        std::ranges::stable_partition(known, is_own);
        result.push_back({image.chain_ids.at(i), diff_ids[i], std::move(known)});
    }
    return result;
}

void ImagePush::remember(const Reference& tag, const Image& image, const std::string& config,
                         const Manifest& manifest) {
    const Digest digest = archive::sha256(manifest.text);
    store_.blob_records().add(oci::parse_image_config(config).diff_ids, manifest.parsed.layers,
                              target_);
    store_.get(image.id);  // throws when it was removed meanwhile
    NewImage known;
    known.config = config;
    for (std::size_t i = 0; i < image.chain_ids.size(); ++i)
        known.layers.push_back({image.chain_ids[i], image.layer_sizes.at(i)});
    known.manifest = manifest.text;
    known.references = {tag.with_digest(digest)};
    store_.add(known);
}

void ImagePush::push_tag(const Reference& tag) {
    const std::optional<Image> image = store_.find(tag);
    if (!image) throw Error(ErrorKind::not_found, "tag does not exist: {}", tag.familiar());
    const LayerLease lease = store_.lease(image->chain_ids);
    const std::string config = store_.config_text(image->id);
    const std::vector<Digest> diff_ids = oci::parse_image_config(config).diff_ids;
    const std::vector<Manifest> manifests = manifests_of(image->id);
    const std::vector<PushLayer> layers = layers_of(*image, diff_ids, manifests);
    const std::vector<oci::Descriptor> blobs =
        LayerPush(writer_, archives_, target_, settings_, progress_).run(layers, stop_);
    if (!writer_.has_blob(image->id, stop_)) writer_.put_blob(image->id, config, stop_);

    const auto original = std::ranges::find_if(
        manifests, [&](const Manifest& manifest) { return has_layers(manifest, blobs); });
    const Manifest manifest =
        original != manifests.end() ? *original : make_manifest(image->id, config.size(), blobs);
    writer_.put_manifest(*tag.tag(), manifest.text, manifest.media_type(), stop_);
    remember(tag, *image, config, manifest);
    progress_.pushed({.tag = *tag.tag(),
                      .digest = archive::sha256(manifest.text).str(),
                      .size = static_cast<std::int64_t>(manifest.text.size())});
}

void ImagePush::run(const std::vector<Reference>& tags) {
    writer_.connect(stop_);
    for (const Reference& tag : tags) push_tag(tag);
}

void check_request(const ImageStore& store, const PushRequest& request) {
    const Reference& target = request.reference;
    if (target.digest()) throw Error(ErrorKind::invalid, "cannot push a digest reference");
    if (target.name() == "docker.io/library/scratch")
        throw Error(ErrorKind::denied, "'scratch' is a reserved name");
    if (request.platform.empty() || !target.tag()) return;
    if (const std::optional<Image> image = store.find(target))
        check_platform(target.str(), store.config(image->id).platform,
                       wanted_platform(request.platform));
}

}  // namespace

void push(ImageStore& store, LayerArchives& archives, const RegistrySettings& settings,
          const PushRequest& request, const ProgressCallback& progress, std::stop_token stop) {
    check_request(store, request);
    ProgressLog log(progress);
    ImagePush work(store, archives, settings, request, log, std::move(stop));
    log.status("The push refers to repository [" + request.reference.name() + "]");
    try {
        work.run(work.tags());
    } catch (const Error& error) {
        // "unavailable" is this library's word for "worth another try"; to clients it is a failure.
        if (error.kind() != ErrorKind::unavailable) throw;
        throw Error::with_text(ErrorKind::internal, error.message(), error.errno_value());
    }
}

}  // namespace berth::image
