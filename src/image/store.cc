#include "image/store.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>

#include "archive/digester.h"
#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "image/blob_records.h"
#include "image/layer_claims.h"
#include "image/store_index.h"
#include "image/store_lookup.h"
#include "image/store_removal.h"
#include "linux/nameless_file.h"

namespace berth::image {
namespace {

constexpr std::size_t kMaxIndexFile = 256U << 20;

Image image_of(const StoreIndex& index, const Digest& id, const ImageEntry& entry) {
    Image image{.id = id,
                .tags = {},
                .digests = {},
                .created = entry.created,
                .last_tagged = entry.last_tagged,
                .parent = entry.parent,
                .chain_ids = entry.chain_ids,
                .layer_sizes = entry.layer_sizes,
                .labels = entry.labels};
    for (Reference& reference : index.references_of(id))
        (reference.digest() ? image.digests : image.tags).push_back(std::move(reference));
    return image;
}

void remove_children(const std::string& directory) {
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        remove_tree(entry.path().string());
}

}  // namespace

struct ImageStore::State final {
    explicit State(std::string root)
        : directory(std::move(root)), blobs(directory + "/images/blobs.json") {}

    std::string blob_path(const Digest& digest) const {
        return directory + "/content/blobs/sha256/" + digest.hex();
    }
    std::string index_path() const { return directory + "/images/repositories.json"; }

    std::shared_ptr<const StoreIndex> snapshot() const {
        const std::lock_guard lock(index_mutex);
        return index;
    }
    /// Writes `next` and only then makes it visible. The writer mutex is held.
    void publish(StoreIndex next) {
        replace_file(index_path(), write_index_file(next), 0600, Durability::power);
        auto shared = std::make_shared<const StoreIndex>(std::move(next));
        const std::lock_guard lock(index_mutex);
        index = std::move(shared);
    }
    void write_blob(const Digest& digest, const std::string& content) {
        if (!whole_blob(digest, content.size()))
            replace_file(blob_path(digest), content, 0600, Durability::power);
    }
    /// Drops what an add() wrote that a full disk stopped. Best effort, as drop_blobs().
    void drop_unnamed(const Digest& blob) {
        const bool used = std::ranges::any_of(snapshot()->images, [&](const auto& item) {
            const auto& manifests = item.second.manifests;
            return item.first == blob || std::ranges::find(manifests, blob) != manifests.end();
        });
        if (!used) ::unlink(blob_path(blob).c_str());
    }
    /// Best effort: what stays is collected at the next open.
    void drop_blobs(const ImageEntry& entry, const Digest& id, const StoreIndex& rest) {
        ::unlink(blob_path(id).c_str());
        for (const Digest& manifest : entry.manifests) {
            const bool used = std::ranges::any_of(rest.images, [&](const auto& item) {
                const auto& manifests = item.second.manifests;
                return std::ranges::find(manifests, manifest) != manifests.end();
            });
            if (!used) ::unlink(blob_path(manifest).c_str());
        }
    }
    void open(Opening opening);
    StoreIndex read_index() const;
    void reconcile(StoreIndex kept);
    /// Nothing when the file is missing or another than its name says.
    std::optional<std::string> whole_blob(const Digest& digest, std::size_t limit) const;
    bool keep_entry(const Digest& id, const ImageEntry& entry);
    std::vector<std::string> unnamed_files(const StoreIndex& kept) const;
    /// The writer mutex is held.
    std::vector<Digest> unnamed_blobs() const;
    /// Those of `chain_ids` that nothing names, marked as dying. The writer mutex is held.
    std::vector<Digest> mark_dying(std::vector<Digest> chain_ids);

    std::string directory;
    std::vector<std::string> notes;

    // Held by one writer from reading the index to publishing its successor. Taken before the
    // others.
    std::mutex writer_mutex;
    // Guards `index`, for the time of copying or replacing the pointer only.
    mutable std::mutex index_mutex;
    std::shared_ptr<const StoreIndex> index;
    // Guards `leased` and `dying`.
    std::mutex layers_mutex;
    std::condition_variable layers_changed;
    std::multiset<Digest> leased;
    std::set<Digest> dying;

    // Guards `held`, to which only who holds the writer mutex adds.
    mutable std::mutex held_mutex;
    std::multiset<Digest> held;

    std::set<Digest> held_images() const {
        const std::lock_guard lock(held_mutex);
        return {held.begin(), held.end()};
    }

    LayerClaims claims;
    BlobRecords blobs;
};

bool ImageStore::State::keep_entry(const Digest& id, const ImageEntry& entry) {
    const auto config = read_file_if_exists(blob_path(id), oci::kMaxConfigBytes);
    if (!config) {
        notes.push_back(fmt::format("image {} dropped: its configuration is missing", id.str()));
        return false;
    }
    if (archive::sha256(*config) != id) {
        notes.push_back(fmt::format("image {} dropped: its configuration is damaged", id.str()));
        return false;
    }
    return entry.chain_ids.size() <= oci::kMaxLayers;
}

std::vector<std::string> ImageStore::State::unnamed_files(const StoreIndex& kept) const {
    std::set<std::string> named;
    for (const auto& [id, entry] : kept.images) {
        named.insert(id.hex());
        for (const Digest& manifest : entry.manifests) named.insert(manifest.hex());
    }
    std::vector<std::string> found;
    for (const auto& file :
         std::filesystem::directory_iterator(directory + "/content/blobs/sha256"))
        if (!named.contains(file.path().filename().string())) found.push_back(file.path().string());
    return found;
}

std::vector<Digest> ImageStore::State::unnamed_blobs() const {
    std::vector<Digest> found;
    for (const std::string& path : unnamed_files(*snapshot()))
        if (const std::string name = path.substr(path.rfind('/') + 1); is_hex_id(name))
            found.push_back(Digest::from_hex(name));
    return found;
}

std::optional<std::string> ImageStore::State::whole_blob(const Digest& digest,
                                                         std::size_t limit) const {
    try {
        auto text = read_file_if_exists(blob_path(digest), limit);
        if (text && archive::sha256(*text) == digest) return text;
    } catch (const Error&) {  // larger than it may be, or the disk cannot read it
    }
    return std::nullopt;
}

void ImageStore::State::open(Opening opening) {
    make_directories(directory + "/content/blobs/sha256", 0700);
    make_directories(directory + "/content/ingest", 0700);
    make_directories(directory + "/images", 0700);
    if (opening == Opening::reconciled) return reconcile(read_index());
    index = std::make_shared<const StoreIndex>(read_index());
}

StoreIndex ImageStore::State::read_index() const {
    const auto text = read_file_if_exists(index_path(), kMaxIndexFile);
    if (!text) return {};
    try {
        return parse_index_file(*text);
    } catch (Error& error) {
        throw error.while_("reading {}", index_path());
    }
}

void ImageStore::State::reconcile(StoreIndex kept) {
    remove_children(directory + "/content/ingest");
    const std::size_t images = kept.images.size();
    const std::size_t references = kept.references.size();
    std::erase_if(kept.images,
                  [&](const auto& item) { return !keep_entry(item.first, item.second); });
    std::erase_if(kept.references,
                  [&](const auto& item) { return !kept.images.contains(item.second); });
    for (const std::string& path : unnamed_files(kept)) remove_tree(path);
    if (kept.images.size() != images || kept.references.size() != references) {
        publish(std::move(kept));
    } else {
        index = std::make_shared<const StoreIndex>(std::move(kept));
    }
}

std::vector<Digest> ImageStore::State::mark_dying(std::vector<Digest> chain_ids) {
    const auto current = snapshot();
    const std::lock_guard lock(layers_mutex);
    std::erase_if(chain_ids, [&](const Digest& chain_id) {
        return leased.contains(chain_id) || dying.contains(chain_id) ||
               current->names_layer(chain_id);
    });
    dying.insert(chain_ids.begin(), chain_ids.end());
    return chain_ids;
}

std::int64_t Image::size() const {
    std::int64_t sum = 0;
    for (const std::int64_t size : layer_sizes) sum += size;
    return sum;
}

std::vector<std::string> Image::repo_tags() const {
    std::vector<std::string> result;
    for (const Reference& tag : tags) result.push_back(tag.familiar());
    return result;
}

std::vector<std::string> Image::repo_digests() const {
    std::vector<std::string> result;
    for (const Reference& digest : digests) result.push_back(digest.familiar());
    return result;
}

std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids) {
    std::vector<Digest> result;
    for (const Digest& diff_id : diff_ids) {
        result.push_back(
            result.empty() ? diff_id : archive::sha256(result.back().str() + " " + diff_id.str()));
    }
    return result;
}

ImageStore::ImageStore(std::string directory, const archive::Expansion& expansion, Opening opening)
    : state_(std::make_unique<State>(std::move(directory))), expansion_(expansion) {
    state_->open(opening);
}

ImageStore::~ImageStore() = default;

const std::vector<std::string>& ImageStore::open_notes() const { return state_->notes; }

std::vector<Image> ImageStore::list() const {
    const auto index = state_->snapshot();
    std::vector<Image> result;
    for (const auto& [id, entry] : index->images) result.push_back(image_of(*index, id, entry));
    std::ranges::stable_sort(result, std::ranges::greater{}, &Image::created);
    return result;
}

Image ImageStore::get(const Digest& id) const {
    const auto index = state_->snapshot();
    const auto found = index->images.find(id);
    if (found == index->images.end()) no_such_image(id.str());
    return image_of(*index, id, found->second);
}

Image ImageStore::resolve(std::string_view text) const {
    const auto index = state_->snapshot();
    const Resolution found = resolve_in(*index, text);
    return image_of(*index, found.id, index->images.at(found.id));
}

std::optional<Image> ImageStore::find(const Reference& reference) const {
    const auto index = state_->snapshot();
    const auto found = index->references.find(reference.with_default_tag());
    if (found == index->references.end()) return std::nullopt;
    return image_of(*index, found->second, index->images.at(found->second));
}

std::string ImageStore::config_text(const Digest& id) const {
    if (!state_->snapshot()->images.contains(id)) no_such_image(id.str());
    return read_file(state_->blob_path(id), oci::kMaxConfigBytes);
}

oci::ImageConfig ImageStore::config(const Digest& id) const {
    return oci::parse_image_config(config_text(id));
}

std::vector<std::string> ImageStore::manifests(const Digest& id) const {
    const auto index = state_->snapshot();
    const auto entry = index->images.find(id);
    if (entry == index->images.end()) no_such_image(id.str());
    std::vector<std::string> result;
    for (const Digest& manifest : entry->second.manifests)
        if (auto text = state_->whole_blob(manifest, oci::kMaxManifestBytes))
            result.push_back(*std::move(text));
    return result;
}

std::vector<Digest> ImageStore::damaged_manifests(const Digest& id) const {
    const auto index = state_->snapshot();
    const auto entry = index->images.find(id);
    if (entry == index->images.end()) return {};
    std::vector<Digest> damaged;
    for (const Digest& manifest : entry->second.manifests)
        if (!state_->whole_blob(manifest, oci::kMaxManifestBytes)) damaged.push_back(manifest);
    return damaged;
}

void ImageStore::remove_damaged_manifests(const Digest& id) {
    const std::lock_guard lock(state_->writer_mutex);
    const std::vector<Digest> damaged = damaged_manifests(id);
    if (damaged.empty()) return;
    StoreIndex next = *state_->snapshot();
    std::erase_if(next.images.at(id).manifests, [&damaged](const Digest& manifest) {
        return std::ranges::find(damaged, manifest) != damaged.end();
    });
    state_->publish(std::move(next));
    for (const Digest& manifest : damaged) state_->drop_unnamed(manifest);
}

std::set<Digest> ImageStore::leased_layers() const {
    const std::lock_guard lock(state_->layers_mutex);
    return {state_->leased.begin(), state_->leased.end()};
}

std::vector<Digest> ImageStore::unnamed_blobs() const {
    // No writer may be between its blobs and its index.
    const std::lock_guard lock(state_->writer_mutex);
    return state_->unnamed_blobs();
}

std::vector<Digest> ImageStore::remove_unnamed_blobs() {
    const std::lock_guard lock(state_->writer_mutex);
    std::vector<Digest> found = state_->unnamed_blobs();
    for (const std::string& path : state_->unnamed_files(*state_->snapshot())) remove_tree(path);
    return found;
}

bool ImageStore::names_layer(const Digest& chain_id) const {
    return state_->snapshot()->names_layer(chain_id);
}

std::vector<Digest> ImageStore::layers_in_use() const {
    std::set<Digest> result;
    for (const auto& [id, entry] : state_->snapshot()->images)
        result.insert(entry.chain_ids.begin(), entry.chain_ids.end());
    return {result.begin(), result.end()};
}

AddedImage ImageStore::add(const NewImage& image) {
    const oci::ImageConfig config = oci::parse_image_config(image.config);
    if (image.layers.size() != config.diff_ids.size())
        throw Error(ErrorKind::invalid, "image configuration names {} layers, but there are {}",
                    config.diff_ids.size(), image.layers.size());
    AddedImage result{.id = archive::sha256(image.config)};
    const std::lock_guard lock(state_->writer_mutex);
    StoreIndex next = *state_->snapshot();
    const auto [position, is_new] = next.images.try_emplace(result.id);
    ImageEntry& entry = position->second;
    result.existed = !is_new;
    if (is_new) {
        entry.created = config.created;
        entry.chain_ids = chain_ids(config.diff_ids);
        for (const StoredLayer& layer : image.layers) entry.layer_sizes.push_back(layer.size);
        entry.labels = config.config.labels;
        entry.parent = image.parent;
    }
    std::optional<Digest> manifest;
    if (image.manifest) manifest = archive::sha256(*image.manifest);
    if (manifest && std::ranges::find(entry.manifests, *manifest) == entry.manifests.end())
        entry.manifests.push_back(*manifest);
    for (const Reference& reference : image.references) {
        const auto [named, fresh] = next.references.try_emplace(reference, result.id);
        if (!fresh && named->second == result.id) continue;
        if (!fresh) result.moved.push_back({reference, named->second});
        named->second = result.id;
        if (reference.tag()) entry.last_tagged = Timestamp::now();
    }
    try {
        state_->write_blob(result.id, image.config);
        if (manifest) state_->write_blob(*manifest, *image.manifest);
        state_->publish(std::move(next));
    } catch (...) {
        state_->drop_unnamed(result.id);
        if (manifest) state_->drop_unnamed(*manifest);
        throw;
    }
    result.hold = ImageHold(*this, result.id);
    return result;
}

std::optional<Digest> ImageStore::tag(const Reference& reference, const Digest& id) {
    if (reference.digest())
        throw Error(ErrorKind::invalid, "refusing to create a tag with a digest reference");
    const Reference target = reference.with_default_tag();
    const std::lock_guard lock(state_->writer_mutex);
    StoreIndex next = *state_->snapshot();
    const auto entry = next.images.find(id);
    if (entry == next.images.end()) no_such_image(id.str());
    entry->second.last_tagged = Timestamp::now();
    const auto [named, fresh] = next.references.try_emplace(target, id);
    std::optional<Digest> old;
    if (!fresh && named->second != id) old = named->second;
    named->second = id;
    state_->publish(std::move(next));
    return old;
}

Removal ImageStore::remove(std::string_view text, Force force, PruneParents prune,
                           const FindUses& uses) {
    const std::lock_guard lock(state_->writer_mutex);
    const auto before = state_->snapshot();
    const Resolution target = resolve_in(*before, text);
    RemovalPlan plan =
        plan_removal(*before, target, text, force, prune, uses, state_->held_images());
    state_->publish(plan.next);
    for (const Digest& id : plan.deleted) state_->drop_blobs(before->images.at(id), id, plan.next);
    Removal result{.records = std::move(plan.records), .layers = {}};
    result.layers = UnusedLayers(*this, state_->mark_dying(std::move(plan.layers)));
    for (const Digest& chain_id : result.layers.chain_ids())
        result.records.push_back({RemovalRecord::Kind::deleted, chain_id.str()});
    return result;
}

ImageHold ImageStore::hold(const Digest& id) {
    const std::lock_guard lock(state_->writer_mutex);
    if (!state_->snapshot()->images.contains(id))
        throw Error(ErrorKind::not_found, "No such image: {}", id.str());
    return ImageHold(*this, id);
}

LayerLease ImageStore::lease(std::vector<Digest> chain_ids) {
    std::unique_lock lock(state_->layers_mutex);
    state_->layers_changed.wait(lock, [&] {
        return std::ranges::none_of(
            chain_ids, [&](const Digest& chain_id) { return state_->dying.contains(chain_id); });
    });
    state_->leased.insert(chain_ids.begin(), chain_ids.end());
    return LayerLease(*this, std::move(chain_ids));
}

UnusedLayers ImageStore::unused_of(std::vector<Digest> chain_ids) {
    const std::lock_guard lock(state_->writer_mutex);
    return UnusedLayers(*this, state_->mark_dying(std::move(chain_ids)));
}

LayerClaims& ImageStore::layer_claims() { return state_->claims; }

BlobRecords& ImageStore::blob_records() { return state_->blobs; }

UniqueFd ImageStore::make_temporary() const {
    return linux_os::nameless_file(state_->directory + "/content/ingest");
}

ImageHold::ImageHold(ImageStore& store, const Digest& id) : held_(&store, Release{id}) {
    const std::lock_guard lock(store.state_->held_mutex);
    store.state_->held.insert(id);
}

ImageHold::~ImageHold() = default;

void ImageHold::Release::operator()(ImageStore* store) const {
    const std::lock_guard lock(store->state_->held_mutex);
    const auto found = store->state_->held.find(id);
    if (found != store->state_->held.end()) store->state_->held.erase(found);
}

LayerLease::LayerLease(ImageStore& store, std::vector<Digest> chain_ids)
    : held_(&store, Release{std::move(chain_ids)}) {}

LayerLease::~LayerLease() = default;

void LayerLease::Release::operator()(ImageStore* store) const {
    const std::lock_guard lock(store->state_->layers_mutex);
    for (const Digest& chain_id : chain_ids) {
        const auto found = store->state_->leased.find(chain_id);
        if (found != store->state_->leased.end()) store->state_->leased.erase(found);
    }
}

UnusedLayers::UnusedLayers(ImageStore& store, std::vector<Digest> chain_ids)
    : held_(&store, Release{std::move(chain_ids)}) {}

UnusedLayers::~UnusedLayers() = default;

void UnusedLayers::Release::operator()(ImageStore* store) const {
    const std::lock_guard lock(store->state_->layers_mutex);
    for (const Digest& chain_id : chain_ids) store->state_->dying.erase(chain_id);
    store->state_->layers_changed.notify_all();
}

}  // namespace berth::image
