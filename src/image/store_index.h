// The content of images/repositories.json as an immutable value, and how it reads and writes. Used
// by store.cc only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "image/reference.h"

namespace berth::image {

struct ImageEntry final {
    Timestamp created;
    Timestamp last_tagged;
    std::optional<Digest> parent;
    std::vector<Digest> chain_ids;
    std::vector<std::int64_t> layer_sizes;
    std::map<std::string, std::string> labels;
    std::vector<Digest> manifests;  // blobs of manifests that name this image
};

struct StoreIndex final {
    std::map<Digest, ImageEntry> images;
    std::map<Reference, Digest> references;

    std::vector<Reference> references_of(const Digest& id) const;
    bool names_layer(const Digest& chain_id) const;
};

/// Throws Error{invalid} for a damaged file or an unknown version.
StoreIndex parse_index_file(const std::string& text);
std::string write_index_file(const StoreIndex& index);

}  // namespace berth::image
