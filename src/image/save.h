// `docker save`: images as one tar that is both an OCI layout and a docker archive, as Docker 25
// and later write it: blobs by digest (layers uncompressed), index.json, manifest.json, oci-layout,
// repositories. Synchronous; run it on a thread of its own.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "archive/stream.h"
#include "image/layer_archives.h"
#include "image/store.h"

namespace berth::image {

struct SavedImage final {
    Image image;
    std::vector<Reference> names;  // with tag; none for an image that was asked for by id
};

/// What `names` mean: a name without a tag is all tags of its repository, an id the image without
/// names; one image is there once. Throws Error{not_found} "No such image: X".
std::vector<SavedImage> plan_save(const ImageStore& store, const std::vector<std::string>& names);

/// Writes the archive. Throws Error, {cancelled} on stop.
void save(const ImageStore& store, LayerArchives& layers, const std::vector<SavedImage>& images,
          archive::Sink& to, std::stop_token stop);

}  // namespace berth::image
