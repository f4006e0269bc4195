// What images an archive holds: from manifest.json (docker save, old and new), else from index.json
// (an OCI layout). Reads small members only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "image/archive_members.h"
#include "image/reference.h"
#include "oci/image_spec.h"

namespace berth::image {

struct ArchivedImage final {
    std::string config;               // the bytes
    std::vector<std::string> layers;  // member names, lowest first
    std::vector<Reference> tags;
};

/// Of an index the manifest of `wanted`, else of this machine. Throws Error{invalid}, and
/// {not_found} for an image of another platform than the wanted one.
std::vector<ArchivedImage> plan_load(const ArchiveMembers& members,
                                     const std::optional<oci::Platform>& wanted = {});

}  // namespace berth::image
