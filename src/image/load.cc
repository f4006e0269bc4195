#include "image/load.h"

#include "archive/compression.h"
#include "base/error.h"
#include "image/archive_members.h"
#include "image/layer_batch.h"
#include "image/layer_claims.h"
#include "image/load_plan.h"
#include "image/progress_log.h"

namespace berth::image {
namespace {

constexpr std::int64_t kProgressStep = 512 << 10;

/// Counts what passes, for "Loading layer".
class CountingSource final : public archive::Source {
  public:
    using OnBytes = std::function<void(std::int64_t)>;
    CountingSource(archive::Source& below, OnBytes on_bytes)
        : below_(below), on_bytes_(std::move(on_bytes)) {}
    std::size_t read(std::span<char> buffer) override {
        const std::size_t count = below_.read(buffer);
        position_ += static_cast<std::int64_t>(count);
        if (position_ >= next_) {
            next_ = position_ + kProgressStep;
            on_bytes_(position_);
        }
        return count;
    }

  private:
    archive::Source& below_;
    OnBytes on_bytes_;
    std::int64_t position_ = 0;
    std::int64_t next_ = kProgressStep;
};

class ImageLoad final {
  public:
    ImageLoad(ImageStore& store, LayerSink& sink, ArchiveMembers& members, LoadOutput output,
              ProgressLog& progress, std::stop_token stop)
        : store_(store),
          sink_(sink),
          members_(members),
          output_(output),
          progress_(progress),
          stop_(std::move(stop)) {}

    Digest run(const ArchivedImage& image);

  private:
    struct Loading final {
        LayerBatch& batch;
        const std::vector<std::string>& members;
        std::vector<std::optional<LayerClaim>> claims;
    };
    std::vector<StoredLayer> load_layers(LayerBatch& batch,
                                         const std::vector<std::string>& members);
    void load_layer(Loading& loading, std::size_t index, const std::stop_token& stop);
    void report(const AddedImage& added, const ArchivedImage& image);

    ImageStore& store_;
    LayerSink& sink_;
    ArchiveMembers& members_;
    LoadOutput output_;
    ProgressLog& progress_;
    std::stop_token stop_;
};

void ImageLoad::load_layer(Loading& loading, std::size_t index, const std::stop_token& stop) {
    LayerBatch& batch = loading.batch;
    const std::string& member = loading.members[index];
    loading.claims[index].emplace(store_.layer_claims().claim(batch.chain_id(index), stop));
    if (auto layer = batch.find(index)) {
        batch.found(index, *std::move(layer));
        loading.claims[index].reset();
        members_.finish_use(member);
        return;
    }
    const std::int64_t total = members_.size(member);
    const auto show = [&](std::int64_t current) {
        if (output_ == LoadOutput::progress)
            progress_.bytes(batch.diff_id(index).short_hex(), "Loading layer", {current, total});
    };
    const std::unique_ptr<archive::Source> content = members_.open(member);
    CountingSource counted(*content, show);
    const std::unique_ptr<archive::Source> tar = archive::decompress(counted, store_.expansion());
    batch.stage(index, *tar, stop);
    show(total);
}

std::vector<StoredLayer> ImageLoad::load_layers(LayerBatch& batch,
                                                const std::vector<std::string>& members) {
    Loading loading{batch, members, {}};
    loading.claims.resize(members.size());
    std::stop_source stop;
    const std::stop_callback forward(stop_, [&stop] { stop.request_stop(); });
    return batch.place_all(
        stop, [&](std::size_t index) { load_layer(loading, index, stop.get_token()); },
        [&](std::size_t index) { loading.claims[index].reset(); });
}

void ImageLoad::report(const AddedImage& added, const ArchivedImage& image) {
    for (const MovedTag& moved : added.moved) {
        progress_.stream(fmt::format(
            "The image {} already exists, renaming the old one with ID {} to empty string\n",
            moved.reference.familiar(), moved.old_id.str()));
    }
    for (const Reference& tag : image.tags)
        progress_.stream("Loaded image: " + tag.familiar() + "\n");
    if (image.tags.empty()) progress_.stream("Loaded image ID: " + added.id.str() + "\n");
}

Digest ImageLoad::run(const ArchivedImage& image) {
    const oci::ImageConfig config = oci::parse_image_config(image.config);
    if (config.diff_ids.size() != image.layers.size())
        throw Error(ErrorKind::invalid,
                    "invalid archive: the image configuration names {} layers, the manifest {}",
                    config.diff_ids.size(), image.layers.size());
    if (config.platform.os != "linux")
        throw Error(ErrorKind::invalid,
                    "image operating system \"{}\" cannot be used on this platform",
                    config.platform.os);
    LayerBatch batch(store_, sink_, config.diff_ids);
    NewImage fresh;
    fresh.config = image.config;
    fresh.references = image.tags;
    fresh.layers = load_layers(batch, image.layers);
    const AddedImage added = store_.add(fresh);
    batch.keep();
    report(added, image);
    return added.id;
}

}  // namespace

std::vector<Digest> load(ImageStore& store, LayerSink& sink, archive::Source& archive,
                         const LoadOptions& options, const ProgressCallback& progress,
                         std::stop_token stop) {
    ArchiveMembers members(archive, store.make_temporary(), stop, store.expansion());
    ProgressLog log(progress);
    ImageLoad load(store, sink, members, options.output, log, stop);
    const std::vector<ArchivedImage> images = plan_load(members, options.platform);
    for (const ArchivedImage& image : images)
        for (const std::string& layer : image.layers) members.expect_use(layer);
    std::vector<Digest> result;
    for (const ArchivedImage& image : images) result.push_back(load.run(image));
    return result;
}

}  // namespace berth::image
