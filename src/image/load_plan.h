// What images an archive holds: from manifest.json (docker save, old and new), else from index.json
// (an OCI layout). Reads small members only.
#pragma once

#include <string>
#include <vector>

#include "image/archive_members.h"
#include "image/reference.h"

namespace berth::image {

struct ArchivedImage final {
    std::string config;               // the bytes
    std::vector<std::string> layers;  // member names, lowest first
    std::vector<Reference> tags;
};

/// Throws Error{invalid}.
std::vector<ArchivedImage> plan_load(const ArchiveMembers& members);

}  // namespace berth::image
