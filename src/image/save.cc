#include "image/save.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "archive/digester.h"
#include "archive/tar_writer.h"
#include "base/error.h"
#include "base/json.h"
#include "oci/image_spec.h"

namespace berth::image {
namespace {

using nlohmann::json;

constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";

std::string path_of_blob(const Digest& digest) { return "blobs/sha256/" + digest.hex(); }

/// True when `text` names the image itself: an id or a prefix of one.
bool names_the_id(const std::string& text, const Image& image) {
    return image.id.str().starts_with(text) || image.id.hex().starts_with(text);
}

class Saving final {
  public:
    Saving(const ImageStore& store, LayerArchives& layers, archive::Sink& to, std::stop_token stop)
        : store_(store), layers_(layers), tar_(to), stop_(std::move(stop)) {}

    void run(const std::vector<SavedImage>& images);

  private:
    void check(const std::vector<SavedImage>& images);
    void add_image(const SavedImage& saved);
    std::int64_t add_layer(const Digest& chain_id, const Digest& diff_id);
    void add_blob(const Digest& digest, std::string_view bytes);
    void add_directory(const std::string& path);
    void add_file(const std::string& path, std::string_view bytes);

    const ImageStore& store_;
    LayerArchives& layers_;
    archive::TarWriter tar_;
    std::stop_token stop_;
    Timestamp modified_;
    std::map<Digest, std::int64_t> blobs_;  // written already, with their sizes
    json index_ = json::array();
    json manifest_ = json::array();
    json repositories_ = json::object();
};

void Saving::add_directory(const std::string& path) {
    tar_.add(
        {.path = path, .type = archive::EntryType::directory, .mode = 0755, .modified = modified_});
}

void Saving::add_file(const std::string& path, std::string_view bytes) {
    tar_.add({.path = path, .mode = 0644, .modified = modified_}, bytes);
}

void Saving::add_blob(const Digest& digest, std::string_view bytes) {
    if (!blobs_.emplace(digest, static_cast<std::int64_t>(bytes.size())).second) return;
    add_file(path_of_blob(digest), bytes);
}

std::int64_t Saving::add_layer(const Digest& chain_id, const Digest& diff_id) {
    if (const auto known = blobs_.find(diff_id); known != blobs_.end()) return known->second;
    const LayerArchive layer = layers_.open(chain_id);
    archive::DigestSource digested(*layer.tar);
    archive::CallbackSource stoppable([&](std::span<char> buffer) {
        if (stop_.stop_requested()) throw Error(ErrorKind::cancelled, "saving was cancelled");
        return digested.read(buffer);
    });
    tar_.add_from(
        {.path = path_of_blob(diff_id), .mode = 0644, .size = layer.size, .modified = modified_},
        stoppable);
    if (const Digest found = digested.digest(); found != diff_id)
        throw Error(ErrorKind::internal,
                    "the files of layer {} were changed: its archive would have the digest {}",
                    diff_id.str(), found.str());
    blobs_.emplace(diff_id, layer.size);
    return layer.size;
}

void Saving::add_image(const SavedImage& saved) {
    const Image& image = saved.image;
    modified_ = image.created;
    const std::string config = store_.config_text(image.id);
    const oci::ImageConfig parsed = oci::parse_image_config(config);
    add_blob(image.id, config);
    oci::ImageManifest manifest{.media_type = std::string(oci::kOciManifest),
                                .config = {.media_type = std::string(oci::kOciImageConfig),
                                           .digest = image.id,
                                           .size = static_cast<std::int64_t>(config.size()),
                                           .platform = {},
                                           .annotations = {}},
                                .layers = {}};
    json layer_names = json::array();
    for (std::size_t n = 0; n < parsed.diff_ids.size(); ++n) {
        const Digest& diff_id = parsed.diff_ids[n];
        const std::int64_t size = add_layer(image.chain_ids.at(n), diff_id);
        manifest.layers.push_back({std::string(kOciLayer), diff_id, size, std::nullopt, {}});
        layer_names.push_back(path_of_blob(diff_id));
    }
    const std::string text = dump_json(oci::to_json(manifest));
    const Digest digest = archive::sha256(text);
    add_blob(digest, text);

    const json entry{
        {"mediaType", manifest.media_type}, {"digest", digest.str()}, {"size", text.size()}};
    json tags = json::array();
    for (const Reference& name : saved.names) {
        tags.push_back(name.familiar());
        json named = entry;
        named["annotations"] = {{"io.containerd.image.name", name.str()},
                                {"org.opencontainers.image.ref.name", *name.tag()}};
        index_.push_back(std::move(named));
        if (!image.chain_ids.empty())
            repositories_[name.familiar_name()][*name.tag()] = image.chain_ids.back().hex();
    }
    if (saved.names.empty()) index_.push_back(entry);
    manifest_.push_back({{"Config", path_of_blob(image.id)},
                         {"RepoTags", tags.empty() ? json() : std::move(tags)},
                         {"Layers", std::move(layer_names)}});
}

// What cannot be saved shows before the first byte: the client gets the reason, not half an
// archive.
void Saving::check(const std::vector<SavedImage>& images) {
    for (const SavedImage& saved : images)
        for (const Digest& chain_id : saved.image.chain_ids) layers_.open(chain_id);
}

void Saving::run(const std::vector<SavedImage>& images) {
    check(images);
    for (const SavedImage& saved : images) modified_ = std::max(modified_, saved.image.created);
    add_directory("blobs/");
    add_directory("blobs/sha256/");
    for (const SavedImage& saved : images) add_image(saved);
    add_file(
        "index.json",
        dump_json({{"schemaVersion", 2}, {"mediaType", oci::kOciIndex}, {"manifests", index_}}));
    add_file("manifest.json", dump_json(manifest_));
    add_file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    if (!repositories_.empty()) add_file("repositories", dump_json(repositories_));
    tar_.finish();
}

}  // namespace

std::vector<SavedImage> plan_save(const ImageStore& store, const std::vector<std::string>& names) {
    std::vector<SavedImage> plan;
    const auto add = [&plan](const Image& image, const std::vector<Reference>& tags) {
        auto there =
            std::ranges::find(plan, image.id, [](const SavedImage& s) { return s.image.id; });
        if (there == plan.end()) there = plan.insert(plan.end(), {image, {}});
        for (const Reference& tag : tags)
            if (std::ranges::find(there->names, tag) == there->names.end())
                there->names.push_back(tag);
    };
    for (const std::string& name : names) {
        std::optional<Reference> reference;
        try {
            reference = Reference::parse(name);
        } catch (const Error&) {
            // "sha256:…" is no reference; resolve() knows it.
        }
        bool found = false;
        if (reference && !reference->tag() && !reference->digest())
            for (const Image& image : store.list()) {
                std::vector<Reference> tags = image.tags;
                std::erase_if(tags,
                              [&](const Reference& t) { return t.name() != reference->name(); });
                if (tags.empty()) continue;
                add(image, tags);
                found = true;
            }
        if (found) continue;
        const Image image = store.resolve(name);
        const bool named = reference && reference->tag() && !names_the_id(name, image);
        add(image, named ? std::vector{reference->with_default_tag()} : std::vector<Reference>{});
    }
    return plan;
}

void save(const ImageStore& store, LayerArchives& layers, const std::vector<SavedImage>& images,
          archive::Sink& to, std::stop_token stop) {
    Saving(store, layers, to, std::move(stop)).run(images);
}

}  // namespace berth::image
