// Pushing images to a registry. push() is synchronous: run it on a thread of its own (it starts up
// to max-concurrent-uploads threads that end with it). An image that came from a registry keeps its
// manifest, byte for byte, where all its blobs are at the target: so its digest stays.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "image/auth.h"
#include "image/layer_archives.h"
#include "image/progress.h"
#include "image/reference.h"
#include "image/registry_settings.h"
#include "image/store.h"

namespace berth::image {

struct PushRequest final {
    Reference reference;   // without tag: all tags of the repository
    std::string platform;  // as the API gives it; empty: any
    Credentials credentials;
};

/// Throws Error with Docker's texts; all but {invalid}, {denied} of a reserved name and a wrong
/// platform come after the first progress line.
void push(ImageStore& store, LayerArchives& archives, const RegistrySettings& settings,
          const PushRequest& request, const ProgressCallback& progress, std::stop_token stop);

}  // namespace berth::image
