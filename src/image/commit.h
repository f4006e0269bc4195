// The configuration of an image that is made of a container: that of the image it came from, with
// one more entry of history and, unless nothing changed, one more layer. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "oci/image_spec.h"

namespace berth::image {

struct Commit final {
    oci::ImageConfig base;  // of the container's image; when that is gone, its layers only
    oci::ContainerDefaults config;
    std::optional<Digest> diff_id;  // of the new layer; none: nothing changed
    std::string created_by;         // the container's command line
    std::string author;
    std::string comment;
    std::vector<std::string> command;  // of a build's step, for its cache
};

oci::ImageConfig committed_config(Commit commit, Timestamp now);

}  // namespace berth::image
