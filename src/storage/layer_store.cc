#include "storage/layer_store.h"

#include <fcntl.h>
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
#include "storage/layer_writer.h"

namespace berth::storage {
namespace {

constexpr std::string_view kTemporaryPrefix = "tmp-";
constexpr int kRecordVersion = 1;

// Removes a directory that did not get its final name.
class Temporary final {
  public:
    explicit Temporary(std::string path) : path_(std::move(path)) { make_directories(path_, 0700); }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;
    ~Temporary() {
        try {
            if (!path_.empty()) remove_tree(path_);
        } catch (const Error&) {
            // What stays is removed when the store is opened the next time.
        }
    }
    const std::string& path() const { return path_; }
    void keep() { path_.clear(); }

  private:
    std::string path_;
};

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

struct Unpacked final {
    std::int64_t size = 0;
    std::vector<std::string> skipped;
    std::vector<ReplacedFile> replaced;
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

Unpacked unpack(archive::Source& tar, const archive::TarLimits& limits,
                const std::string& directory, BorrowedFd root, const std::vector<UniqueFd>& lower) {
    TarRecorder recorder(directory);
    archive::TarReader reader(tar, limits, &recorder);
    LayerWriter writer(root, lower, recorder);
    while (const auto entry = reader.next()) writer.add(*entry, reader);
    reader.drain_archive();
    writer.finish();
    recorder.finish();
    return {writer.size(), writer.skipped(), recorder.replaced()};
}

std::vector<UniqueFd> open_all(const std::vector<std::string>& paths) {
    std::vector<UniqueFd> fds;
    for (const std::string& path : paths) fds.push_back(open_file(path, O_PATH | O_DIRECTORY));
    return fds;
}

// The root of a layer whose tar does not bring it: as the parent's, else root's and 0755.
void prepare_root(BorrowedFd root, const std::vector<UniqueFd>& lower) {
    Attributes attributes;
    attributes.modified = {.tv_sec = 0, .tv_nsec = UTIME_NOW};
    if (!lower.empty()) {
        const Place place{lower.front(), ".", "/"};
        attributes = attributes_of(place, status_of(place));
    }
    set_attributes(root, attributes, "/");
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

LayerStore LayerStore::open(const std::string& directory) {
    LayerStore store(directory + "/layers");
    make_directories(store.directory_, 0700);
    const UniqueFd fd = open_file(store.directory_, O_RDONLY | O_DIRECTORY);
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

std::vector<Layer> LayerStore::list() const {
    std::vector<Layer> layers;
    const UniqueFd fd = open_file(directory_, O_RDONLY | O_DIRECTORY);
    for (const std::string& name : names_in(fd, directory_)) {
        if (!is_hex_id(name)) continue;
        try {
            if (auto layer = find(Digest::from_hex(name))) layers.push_back(std::move(*layer));
        } catch (const Error&) {
            continue;
        }
    }
    return layers;
}

void LayerStore::write_record(const std::string& path, const Layer& layer) const {
    const nlohmann::json record{{"version", kRecordVersion},
                                {"diff_id", layer.diff_id.str()},
                                {"parent", layer.parent ? layer.parent->str() : ""},
                                {"size", layer.size},
                                {"tar_size", layer.tar_size},
                                {"skipped", layer.skipped},
                                {"replaced", to_json(layer.replaced)}};
    replace_file(path + "/layer.json", dump_json(record), 0600, Durability::process);
}

Layer LayerStore::apply(const ApplyRequest& request, archive::Source& tar,
                        std::stop_token stop) const {
    const std::vector<UniqueFd> lower =
        request.parent ? open_all(directories(*request.parent)) : std::vector<UniqueFd>{};
    Temporary temporary(directory_ + "/" + std::string(kTemporaryPrefix) + random_hex_id());
    const std::string files = temporary.path() + "/fs";
    make_directories(files, 0755);
    const UniqueFd root = open_file(files, O_RDONLY | O_DIRECTORY);
    prepare_root(root, lower);

    StoppableSource stoppable(tar, std::move(stop));
    archive::DecompressSource plain(stoppable);
    archive::DigestSource digesting(plain);
    Unpacked unpacked;
    {
        archive::ReadAheadSource ahead(digesting);
        unpacked = unpack(ahead, request.limits, temporary.path(), root, lower);
    }
    const Digest diff_id = digesting.digest();
    if (request.expected_diff_id && *request.expected_diff_id != diff_id)
        throw Error(ErrorKind::invalid, "layer verification failed: expected {}, got {}",
                    request.expected_diff_id->str(), diff_id.str());

    Layer layer{.chain_id = chain_id_of(request.parent, diff_id),
                .diff_id = diff_id,
                .parent = request.parent,
                .size = unpacked.size,
                .tar_size = static_cast<std::int64_t>(digesting.size()),
                .skipped = std::move(unpacked.skipped),
                .replaced = std::move(unpacked.replaced)};
    write_record(temporary.path(), layer);
    // One flush for the whole layer: fsync a file would cost a journal commit each.
    if (::syncfs(root.get()) < 0) throw_errno("syncing layer {}", layer.chain_id.short_hex());
    const std::string place = path_of(layer.chain_id);
    if (::rename(temporary.path().c_str(), place.c_str()) == 0) {
        temporary.keep();
        sync_directory(directory_);
    } else if (errno != ENOTEMPTY && errno != EEXIST) {
        throw_errno("putting layer {} in place", layer.chain_id.short_hex());
    }
    return layer;
}

std::unique_ptr<archive::Source> LayerStore::open_tar(const Digest& chain_id) const {
    const auto layer = find(chain_id);
    if (!layer) throw Error(ErrorKind::not_found, "no such layer: {}", chain_id.str());
    return std::make_unique<TarReplay>(path_of(chain_id), layer->replaced);
}

void LayerStore::remove(const Digest& chain_id) const {
    // Out of sight first: a crash halfway must not leave a layer that looks whole.
    const std::string doomed = directory_ + "/" + std::string(kTemporaryPrefix) + random_hex_id();
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

std::int64_t LayerStore::usage() const {
    std::int64_t total = 0;
    for (const Layer& layer : list()) total += layer.size;
    return total;
}

}  // namespace berth::storage
