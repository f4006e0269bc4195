#include "storage/layer_store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "archive/compression.h"
#include "archive/digester.h"
#include "archive/read_ahead.h"
#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "storage/inode.h"

namespace berth::storage {
namespace {

constexpr std::string_view kTemporaryPrefix = "tmp-";
constexpr int kRecordVersion = 1;

// Looks at the stop request whenever a block is read.
class StoppableSource final : public archive::Source {
  public:
    StoppableSource(archive::Source& below, std::stop_token stop)
        : below_(below), stop_(std::move(stop)) {}
    std::size_t read(std::span<char> buffer) override {
        if (stop_.stop_requested())
            throw Error(ErrorKind::cancelled, "unpacking the layer was cancelled");
        return below_.read(buffer);
    }

  private:
    archive::Source& below_;
    std::stop_token stop_;
};

nlohmann::json to_json(const std::vector<ReplacedFile>& replaced) {
    nlohmann::json list = nlohmann::json::array();
    for (const ReplacedFile& file : replaced)
        list.push_back({{"segments", file.segments}, {"path", file.path}});
    return list;
}

std::vector<ReplacedFile> replaced_from(const nlohmann::json& record) {
    std::vector<ReplacedFile> replaced;
    for (const nlohmann::json& item : record.value("replaced", nlohmann::json::array())) {
        const JsonReader reader(item, "replaced");
        replaced.push_back(
            {static_cast<std::uint64_t>(reader.integer("segments")), reader.string("path")});
    }
    return replaced;
}

std::string temporary_name() { return std::string(kTemporaryPrefix) + random_hex_id(); }

// ext4 puts the directories of such a one far from each other. Layers that are unpacked at the same
// time do not contend for one group of inodes then, and none waits for the inodes of a layer that
// was just removed, which ext4 does not use again for a minute but looks at one by one: unpacking
// took four times as long. Other file systems refuse it.
void spread_directories(BorrowedFd directory) {
    int flags = 0;
    if (::ioctl(directory.get(), FS_IOC_GETFLAGS, &flags) < 0) return;
    flags |= FS_TOPDIR_FL;
    ::ioctl(directory.get(), FS_IOC_SETFLAGS, &flags);
}

// The root of a layer whose tar does not bring it is as its parent's.
void inherit_root(BorrowedFd root, BorrowedFd parent) {
    const Place place{parent, ".", "/"};
    set_attributes(root, attributes_of(place, status_of(place)), "/");
}

void write_record(const std::string& path, const Layer& layer) {
    const nlohmann::json record{{"version", kRecordVersion},
                                {"diff_id", layer.diff_id.str()},
                                {"parent", layer.parent ? layer.parent->str() : ""},
                                {"size", layer.size},
                                {"tar_size", layer.tar_size},
                                {"skipped", layer.skipped},
                                {"replaced", to_json(layer.replaced)}};
    replace_file(path + "/layer.json", dump_json(record), 0600, Durability::process);
}

void sync_directory(const std::string& path) {
    const UniqueFd fd = open_file(path, O_RDONLY | O_DIRECTORY);
    if (::fsync(fd.get()) < 0) throw_errno("syncing {}", path);
}

}  // namespace

Digest chain_id_of(const std::optional<Digest>& parent, const Digest& diff_id) {
    if (!parent) return diff_id;
    return archive::sha256(parent->str() + " " + diff_id.str());
}

LayerStore LayerStore::open(const std::string& directory, const archive::TarLimits& limits) {
    LayerStore store(directory + "/layers", limits);
    make_directories(store.directory_, 0700);
    const UniqueFd fd = open_file(store.directory_, O_RDONLY | O_DIRECTORY);
    spread_directories(fd);
    for (const std::string& name : names_in(fd, store.directory_))
        if (name.starts_with(kTemporaryPrefix)) remove_tree(store.directory_ + "/" + name);
    return store;
}

std::string LayerStore::path_of(const Digest& chain_id) const {
    return directory_ + "/" + chain_id.hex();
}

std::optional<Layer> LayerStore::find(const Digest& chain_id) const {
    const auto text = read_file_if_exists(path_of(chain_id) + "/layer.json");
    if (!text) return std::nullopt;
    try {
        const nlohmann::json record = parse_json(*text);
        const JsonReader reader(record, "layer");
        if (reader.integer("version") != kRecordVersion)
            throw Error(ErrorKind::unsupported, "unknown version {}", reader.integer("version"));
        const std::string parent = reader.string("parent");
        return Layer{.chain_id = chain_id,
                     .diff_id = Digest::parse(reader.string("diff_id")),
                     .parent = parent.empty() ? std::nullopt : std::optional(Digest::parse(parent)),
                     .size = reader.integer("size"),
                     .tar_size = reader.integer("tar_size"),
                     .skipped = reader.strings("skipped"),
                     .replaced = replaced_from(record)};
    } catch (Error& error) {
        throw error.while_("reading the record of layer {}", chain_id.short_hex());
    }
}

std::vector<Digest> LayerStore::chain_ids() const {
    std::vector<Digest> found;
    const UniqueFd fd = open_file(directory_, O_RDONLY | O_DIRECTORY);
    for (const std::string& name : names_in(fd, directory_))
        if (is_hex_id(name)) found.push_back(Digest::from_hex(name));
    return found;
}

std::vector<Layer> LayerStore::list() const {
    std::vector<Layer> layers;
    for (const Digest& chain_id : chain_ids()) {
        try {
            if (auto layer = find(chain_id)) layers.push_back(std::move(*layer));
        } catch (const Error&) {
            continue;
        }
    }
    return layers;
}

void LayerStore::verify(const Digest& chain_id, std::stop_token stop) const {
    const auto layer = find(chain_id);
    if (!layer) throw Error(ErrorKind::invalid, "its record is missing");
    if (chain_id_of(layer->parent, layer->diff_id) != chain_id)
        throw Error(ErrorKind::invalid, "its record is that of another layer");
    if (layer->parent && !find(*layer->parent))
        throw Error(ErrorKind::invalid, "the layer {} below it is missing",
                    layer->parent->short_hex());
    if (layer->tar_size == 0) return;  // of a berth that kept no record of the archive
    TarReplay tar(path_of(chain_id), layer->replaced);
    StoppableSource stoppable(tar, std::move(stop));
    archive::DigestSource digesting(stoppable);
    archive::drain(digesting);
    if (digesting.digest() != layer->diff_id)
        throw Error(ErrorKind::invalid, "its files are not what was unpacked");
}

StagedLayer::StagedLayer(std::string path) : path_(std::move(path)) {
    make_directories(path_ + "/fs", 0755);
    files_ = open_file(path_ + "/fs", O_RDONLY | O_DIRECTORY);
}

StagedLayer::~StagedLayer() {
    try {
        if (!path_.empty()) remove_tree(path_);
    } catch (const Error&) {
        // What stays is removed when the store is opened the next time.
    }
}

std::unique_ptr<StagedLayer> LayerStore::stage(const StageRequest& request, archive::Source& tar,
                                               std::stop_token stop) const {
    std::unique_ptr<StagedLayer> staged(new StagedLayer(directory_ + "/" + temporary_name()));
    Attributes plain;
    plain.modified = {.tv_sec = 0, .tv_nsec = UTIME_NOW};
    set_attributes(staged->files_, plain, "/");

    StoppableSource stoppable(tar, std::move(stop));
    archive::DecompressSource decompressed(stoppable);
    archive::DigestSource digesting(decompressed);
    std::int64_t size = 0;
    std::vector<std::string> skipped;
    std::vector<ReplacedFile> replaced;
    {
        archive::ReadAheadSource ahead(digesting);
        TarRecorder recorder(staged->path_);
        archive::TarReader reader(ahead, limits_, &recorder);
        LayerWriter writer(staged->files_, request.lower, recorder);
        while (const auto entry = reader.next()) writer.add(*entry, reader);
        reader.drain_archive();
        writer.finish();
        recorder.finish();
        size = writer.size();
        skipped = writer.skipped();
        replaced = recorder.replaced();
        staged->has_root_ = writer.has_root();
    }
    const Digest diff_id = digesting.digest();
    if (request.expected_diff_id && *request.expected_diff_id != diff_id)
        throw Error(ErrorKind::invalid, "layer verification failed: expected {}, got {}",
                    request.expected_diff_id->str(), diff_id.str());
    staged->layer_ = Layer{.chain_id = diff_id,
                           .diff_id = diff_id,
                           .parent = std::nullopt,
                           .size = size,
                           .tar_size = static_cast<std::int64_t>(digesting.size()),
                           .skipped = std::move(skipped),
                           .replaced = std::move(replaced)};
    return staged;
}

void LayerStore::put_in_place(StagedLayer& staged) const {
    const std::string place = path_of(staged.layer_->chain_id);
    if (::rename(staged.path_.c_str(), place.c_str()) == 0)
        staged.path_.clear();
    else if (errno != ENOTEMPTY && errno != EEXIST)
        throw_errno("putting layer {} in place", staged.layer_->chain_id.short_hex());
}

std::vector<Layer> LayerStore::commit(const std::optional<Digest>& parent,
                                      const std::vector<StagedLayer*>& staged) const {
    std::vector<Layer> layers;
    UniqueFd below;
    if (parent) below = std::move(open_files(*parent).front());
    std::optional<Digest> next = parent;
    for (StagedLayer* each : staged) {
        if (!each->has_root_ && below) inherit_root(each->files_, below);
        each->layer_->parent = next;
        each->layer_->chain_id = chain_id_of(next, each->layer_->diff_id);
        write_record(each->path_, *each->layer_);
        below = duplicate(each->files_);
        next = each->layer_->chain_id;
        layers.push_back(*each->layer_);
    }
    if (staged.empty()) return layers;
    // One flush for all of them: fsync a file would cost a journal commit each.
    if (::syncfs(below.get()) < 0) throw_errno("syncing layer {}", next->short_hex());
    for (StagedLayer* each : staged) put_in_place(*each);
    sync_directory(directory_);
    return layers;
}

Layer LayerStore::apply(const ApplyRequest& request, archive::Source& tar,
                        std::stop_token stop) const {
    StageRequest part{.lower = {}, .expected_diff_id = request.expected_diff_id};
    if (request.parent) {
        if (!find(*request.parent))
            throw Error(ErrorKind::not_found, "no such layer: {}", request.parent->str());
        part.lower = [this, &request] { return open_files(*request.parent); };
    }
    const std::unique_ptr<StagedLayer> staged = stage(part, tar, std::move(stop));
    return commit(request.parent, {staged.get()}).front();
}

std::unique_ptr<archive::Source> LayerStore::open_tar(const Digest& chain_id) const {
    const auto layer = find(chain_id);
    if (!layer) throw Error(ErrorKind::not_found, "no such layer: {}", chain_id.str());
    return std::make_unique<TarReplay>(path_of(chain_id), layer->replaced);
}

void LayerStore::remove(const Digest& chain_id) const {
    // Out of sight first: a crash halfway must not leave a layer that looks whole.
    const std::string doomed = directory_ + "/" + temporary_name();
    if (::rename(path_of(chain_id).c_str(), doomed.c_str()) < 0) {
        if (errno == ENOENT) return;
        throw_errno("removing layer {}", chain_id.short_hex());
    }
    remove_tree(doomed);
}

std::vector<std::string> LayerStore::directories(const Digest& top) const {
    std::vector<std::string> paths;
    std::optional<Digest> next = top;
    while (next) {
        const auto layer = find(*next);
        if (!layer) throw Error(ErrorKind::not_found, "no such layer: {}", next->str());
        paths.push_back(path_of(*next) + "/fs");
        next = layer->parent;
    }
    return paths;
}

std::vector<UniqueFd> LayerStore::open_files(const Digest& top) const {
    std::vector<UniqueFd> fds;
    for (const std::string& path : directories(top))
        fds.push_back(open_file(path, O_PATH | O_DIRECTORY));
    return fds;
}

std::int64_t LayerStore::usage() const {
    std::int64_t total = 0;
    for (const Layer& layer : list()) total += layer.size;
    return total;
}

}  // namespace berth::storage
