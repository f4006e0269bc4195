// `docker import`: one layer from a tar (compressed or not) and a configuration from Dockerfile
// instructions. Synchronous; run it on a thread of its own.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "image/changes.h"
#include "image/layer_sink.h"
#include "image/progress.h"
#include "image/store.h"

namespace berth::image {

struct ImportRequest final {
    std::optional<Reference> reference;  // none: an image without a name
    std::string message;                 // the comment; Docker's own when empty
    std::string source;                  // "-" or the URL, for the comment
    std::vector<std::string> changes;    // Dockerfile instructions
    std::string platform;                // empty: the host's
};

/// Adds the image; `progress` gets one status line with its id. Throws Error.
Digest import_image(ImageStore& store, LayerSink& sink, archive::Source& tar,
                    const ImportRequest& request, const ProgressCallback& progress,
                    std::stop_token stop);

}  // namespace berth::image
