#include "image/pull.h"

#include <algorithm>

#include "base/error.h"
#include "image/blob_records.h"
#include "image/layer_batch.h"
#include "image/layer_pull.h"
#include "image/platform.h"
#include "image/progress_log.h"
#include "image/registry.h"

namespace berth::image {

struct Puller::Shared final {
    ImageStore& store;
    LayerSink& sink;
    RegistrySettings settings;
};

namespace {

/// One pull of one tag or digest.
class ImagePull final {
  public:
    ImagePull(ImageStore& store, LayerSink& sink, const RegistrySettings& settings,
              RegistryClient& client, const PullRequest& request, ProgressLog& progress,
              std::stop_token stop)
        : store_(store),
          sink_(sink),
          settings_(settings),
          client_(client),
          request_(request),
          progress_(progress),
          stop_(std::move(stop)) {}

    PullResult run(const Reference& reference);

  private:
    struct Chosen final {
        FetchedManifest named;  // what the reference names: its digest is the one shown
        FetchedManifest image;  // the manifest of the platform; the same when there is no index
    };
    Chosen choose(const Reference& reference);
    bool is_complete(const Digest& id) const;
    std::vector<StoredLayer> layers_of(const Digest& id) const;
    PullResult finish(const Reference& reference, const Chosen& chosen, NewImage image);

    ImageStore& store_;
    LayerSink& sink_;
    const RegistrySettings& settings_;
    RegistryClient& client_;
    const PullRequest& request_;
    ProgressLog& progress_;
    std::stop_token stop_;
};

ImagePull::Chosen ImagePull::choose(const Reference& reference) {
    FetchedManifest named = client_.manifest(reference, stop_);
    if (oci::classify_document(named.text, named.content_type) == oci::DocumentKind::manifest)
        return {named, named};
    const oci::ImageIndex index = oci::parse_index(named.text);
    const oci::Descriptor& entry = select_manifest(index, parse_platform(request_.platform));
    FetchedManifest image = client_.manifest(reference.with_digest(entry.digest), stop_);
    if (oci::classify_document(image.text, image.content_type) != oci::DocumentKind::manifest)
        throw Error(ErrorKind::invalid, "{}: an index inside of an index is not supported",
                    reference.familiar());
    return {std::move(named), std::move(image)};
}

bool ImagePull::is_complete(const Digest& id) const {
    try {
        for (const Digest& chain_id : store_.get(id).chain_ids)
            if (!sink_.find(chain_id)) return false;
        return true;
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
        return false;
    }
}

std::vector<StoredLayer> ImagePull::layers_of(const Digest& id) const {
    const Image image = store_.get(id);
    std::vector<StoredLayer> layers;
    for (std::size_t i = 0; i < image.chain_ids.size(); ++i)
        layers.push_back({image.chain_ids[i], image.layer_sizes.at(i)});
    return layers;
}

PullResult ImagePull::finish(const Reference& reference, const Chosen& chosen, NewImage image) {
    const std::optional<Image> before = store_.find(reference);
    const AddedImage added = store_.add(image);
    const bool is_new = !before || before->id != added.id;
    PullResult result{.id = added.id,
                      .manifest_digest = chosen.named.digest,
                      .change = is_new ? PullChange::downloaded : PullChange::up_to_date,
                      .moved = std::nullopt};
    for (const MovedTag& moved : added.moved)
        if (moved.reference.tag()) result.moved = moved;
    store_.blob_records().add(oci::parse_image_config(image.config).diff_ids,
                              oci::parse_manifest(chosen.image.text).layers, reference);
    progress_.status("Digest: " + chosen.named.digest.str());
    return result;
}

PullResult ImagePull::run(const Reference& reference) {
    const Chosen chosen = choose(reference);
    const oci::ImageManifest manifest = oci::parse_manifest(chosen.image.text);
    const bool is_known = is_complete(manifest.config.digest);
    std::string text = is_known ? store_.config_text(manifest.config.digest)
                                : client_.small_blob(manifest.config, stop_);
    const oci::ImageConfig config = oci::parse_image_config(text);
    if (config.diff_ids.size() != manifest.layers.size())
        throw Error(ErrorKind::invalid,
                    "{}: the image configuration names {} layers, the manifest {}",
                    reference.familiar(), config.diff_ids.size(), manifest.layers.size());
    if (config.platform.os != "linux")
        throw Error(ErrorKind::invalid,
                    "image operating system \"{}\" cannot be used on this platform",
                    config.platform.os);
    progress_.write({.stream = "",
                     .status = "Pulling from " + reference.path(),
                     .id = reference.digest() ? reference.digest()->str() : *reference.tag()});
    NewImage image;
    image.config = std::move(text);
    image.manifest = chosen.image.text;
    image.references = {reference.with_digest(chosen.named.digest)};
    if (!reference.digest()) image.references.push_back(reference);
    LayerBatch batch(store_, sink_, config.diff_ids);
    // As by dockerd, nothing is said of the layers of an image that is here already; now that they
    // are leased, they stay.
    if (is_known && is_complete(manifest.config.digest)) {
        image.layers = layers_of(manifest.config.digest);
    } else {
        LayerPull layers(client_, store_, batch, manifest.layers, settings_, progress_);
        image.layers = layers.run(stop_);
    }
    PullResult result = finish(reference, chosen, std::move(image));
    batch.keep();
    result.platform = config.platform;
    return result;
}

void tell_end(ProgressLog& progress, const PullRequest& request,
              const std::vector<PullResult>& results) {
    const auto is_new = [](const PullResult& result) {
        return result.change == PullChange::downloaded;
    };
    const bool whole = request.reference.tag() || request.reference.digest();
    const Reference name = whole ? request.reference.with_default_tag() : request.reference;
    progress.status((std::ranges::any_of(results, is_new) ? "Status: Downloaded newer image for "
                                                          : "Status: Image is up to date for ") +
                    name.familiar());
    // The registry has it for one platform only, and says itself for which.
    for (const PullResult& result : results) {
        try {
            check_platform(name.familiar(), result.platform, wanted_platform(request.platform));
        } catch (const Error& mismatch) {
            progress.status("WARNING: " + mismatch.message());
        }
    }
}

}  // namespace

Puller::Puller(ImageStore& store, LayerSink& sink, RegistrySettings settings)
    : shared_(std::make_unique<Shared>(store, sink, std::move(settings))) {}

Puller::~Puller() = default;

std::vector<PullResult> Puller::pull(const PullRequest& request, const ProgressCallback& progress,
                                     std::stop_token stop) {
    const Reference& wanted = request.reference;
    if (wanted.domain() == "docker.io" && wanted.path() == "library/scratch")
        throw Error(ErrorKind::denied, "'scratch' is a reserved name");
    ProgressLog log(progress);
    RegistryClient client(shared_->settings, wanted.without_tag_and_digest(), request.credentials);
    ImagePull pull(shared_->store, shared_->sink, shared_->settings, client, request, log, stop);
    try {
        std::vector<PullResult> results;
        if (wanted.tag() || wanted.digest()) {
            results.push_back(pull.run(wanted.with_default_tag()));
        } else {
            for (std::string& tag : client.tags(stop))
                results.push_back(pull.run(wanted.with_tag(std::move(tag))));
        }
        tell_end(log, request, results);
        return results;
    } catch (const Error& error) {
        // "unavailable" is this library's word for "worth another try"; to clients it is a failure.
        if (error.kind() != ErrorKind::unavailable) throw;
        throw Error::with_text(ErrorKind::internal, error.message(), error.errno_value());
    }
}

}  // namespace berth::image
