#include "image/blob_records.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

namespace berth::image {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLayers = 8192;
constexpr std::size_t kMaxBlobs = 8;  // of one layer
constexpr std::size_t kMaxRepositories = 16;

BlobRecord read_record(const JsonReader& reader) {
    return {.blob = {.media_type = reader.string("media_type"),
                     .digest = Digest::parse(reader.string("digest")),
                     .size = reader.integer("size"),
                     .platform = {},
                     .annotations = {}},
            .repositories = reader.strings("repositories")};
}

json write_record(const BlobRecord& record) {
    return {{"media_type", record.blob.media_type},
            {"digest", record.blob.digest.str()},
            {"size", record.blob.size},
            {"repositories", record.repositories}};
}

template <typename T>
void drop_oldest(std::vector<T>& list, std::size_t limit) {
    if (list.size() > limit) list.erase(list.begin());
}

/// False when that was known.
bool note(std::vector<BlobRecord>& records, const oci::Descriptor& blob, const std::string& name) {
    auto known = std::ranges::find(records, blob.digest,
                                   [](const BlobRecord& record) { return record.blob.digest; });
    if (known == records.end()) {
        records.push_back({.blob = blob, .repositories = {name}});
        drop_oldest(records, kMaxBlobs);
        return true;
    }
    if (std::ranges::find(known->repositories, name) != known->repositories.end()) return false;
    known->repositories.push_back(name);
    drop_oldest(known->repositories, kMaxRepositories);
    return true;
}

}  // namespace

BlobRecords::BlobRecords(std::string path) : path_(std::move(path)), records_(read(path_)) {}

BlobRecords::Records BlobRecords::read(const std::string& path) {
    try {
        const auto text = read_file_if_exists(path, 64U << 20);
        if (!text) return {};
        const json document = parse_json(*text, {.max_bytes = 64U << 20, .max_depth = 8});
        const JsonReader layers = JsonReader(document, path).object("layers");
        Records result;
        for (const auto& item : layers.value().items())
            for (const JsonReader& record : layers.objects(item.key()))
                result[Digest::parse(item.key())].push_back(read_record(record));
        return result;
    } catch (const Error&) {
        return {};  // what is lost is learnt again
    }
}

void BlobRecords::write() const {
    json layers = json::object();
    for (const auto& [diff_id, records] : records_)
        for (const BlobRecord& record : records)
            layers[diff_id.str()].push_back(write_record(record));
    replace_file(path_, dump_json({{"v", 1}, {"layers", std::move(layers)}}), 0600,
                 Durability::process);
}

std::vector<BlobRecord> BlobRecords::of(const Digest& diff_id) const {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(diff_id);
    return found == records_.end() ? std::vector<BlobRecord>{} : found->second;
}

void BlobRecords::add(const std::vector<Digest>& diff_ids,
                      const std::vector<oci::Descriptor>& blobs, const Reference& repository) {
    const std::lock_guard lock(mutex_);
    bool news = false;
    for (std::size_t i = 0; i < std::min(diff_ids.size(), blobs.size()); ++i) {
        if (!records_.contains(diff_ids[i]) && records_.size() >= kMaxLayers)
            records_.erase(records_.begin());
        news |= note(records_[diff_ids[i]], blobs[i], repository.name());
    }
    if (!news) return;
    try {
        write();
    } catch (const Error& error) {
        // Not worth an image that is whole.
        log::warn("what registries have of its layers is not recorded: {}", error.message());
    }
}

}  // namespace berth::image
