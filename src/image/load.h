// `docker load`: docker-archive (old and new) and OCI layouts, whole archive and layers compressed
// or not. Members are taken by name from one pass over the archive; nothing is unpacked by path.
// Synchronous; run it on a thread of its own.
#pragma once

#include <optional>
#include <stop_token>
#include <vector>

#include "image/layer_sink.h"
#include "image/progress.h"
#include "image/store.h"

namespace berth::image {

enum class LoadOutput { quiet, progress };

struct LoadOptions final {
    LoadOutput output = LoadOutput::progress;
    std::optional<oci::Platform> platform;  // as plan_load()
};

/// Adds every image of the archive and returns their ids. `progress` gets "Loaded image: …" lines.
/// Throws Error{invalid} for a damaged archive; images loaded before that one stay.
std::vector<Digest> load(ImageStore& store, LayerSink& sink, archive::Source& archive,
                         const LoadOptions& options, const ProgressCallback& progress,
                         std::stop_token stop);

}  // namespace berth::image
