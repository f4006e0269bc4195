#include "image/store_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace berth::image {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr std::size_t kMaxIndexBytes = 256U << 20;

std::vector<Digest> read_digests(const JsonReader& reader, std::string_view key) {
    std::vector<Digest> result;
    for (const std::string& text : reader.strings(key)) result.push_back(Digest::parse(text));
    return result;
}

json write_digests(const std::vector<Digest>& digests) {
    json result = json::array();
    for (const Digest& digest : digests) result.push_back(digest.str());
    return result;
}

ImageEntry read_entry(const JsonReader& reader) {
    ImageEntry entry;
    entry.created = {reader.integer("created")};
    entry.last_tagged = {reader.integer("last_tagged")};
    if (reader.has("parent")) entry.parent = Digest::parse(reader.string("parent"));
    entry.chain_ids = read_digests(reader, "chain_ids");
    if (const json* sizes = reader.find("layer_sizes"); sizes != nullptr && sizes->is_array())
        for (const json& size : *sizes)
            entry.layer_sizes.push_back(size.is_number_integer() ? size.get<std::int64_t>() : 0);
    entry.layer_sizes.resize(entry.chain_ids.size());
    entry.labels = reader.string_map("labels");
    entry.manifests = read_digests(reader, "manifests");
    return entry;
}

json write_entry(const ImageEntry& entry) {
    json result{{"created", entry.created.ns},
                {"chain_ids", write_digests(entry.chain_ids)},
                {"layer_sizes", entry.layer_sizes}};
    if (entry.last_tagged != Timestamp{}) result["last_tagged"] = entry.last_tagged.ns;
    if (entry.parent) result["parent"] = entry.parent->str();
    if (!entry.labels.empty()) result["labels"] = entry.labels;
    if (!entry.manifests.empty()) result["manifests"] = write_digests(entry.manifests);
    return result;
}

}  // namespace

std::vector<Reference> StoreIndex::references_of(const Digest& id) const {
    std::vector<Reference> result;
    for (const auto& [reference, named] : references)
        if (named == id) result.push_back(reference);
    return result;
}

bool StoreIndex::names_layer(const Digest& chain_id) const {
    return std::ranges::any_of(images, [&](const auto& item) {
        const std::vector<Digest>& chain = item.second.chain_ids;
        return std::ranges::find(chain, chain_id) != chain.end();
    });
}

StoreIndex parse_index_file(const std::string& text) {
    const json document = parse_json(text, {.max_bytes = kMaxIndexBytes, .max_depth = 16});
    const JsonReader reader(document, "repositories.json");
    if (reader.integer("v") != kVersion)
        throw Error(ErrorKind::unsupported, "repositories.json: version {} is unknown",
                    reader.integer("v"));
    StoreIndex result;
    const JsonReader images = reader.object("images");
    for (const auto& item : images.value().items())
        result.images.emplace(Digest::parse(item.key()), read_entry(images.object(item.key())));
    for (const auto& [name, id] : reader.string_map("references"))
        result.references.emplace(Reference::parse(name), Digest::parse(id));
    return result;
}

std::string write_index_file(const StoreIndex& index) {
    json images = json::object();
    for (const auto& [id, entry] : index.images) images[id.str()] = write_entry(entry);
    json references = json::object();
    for (const auto& [reference, id] : index.references) references[reference.str()] = id.str();
    return dump_json(
        {{"v", kVersion}, {"images", std::move(images)}, {"references", std::move(references)}});
}

}  // namespace berth::image
