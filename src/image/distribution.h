// What a registry says of an image without pulling it: digest, size and platforms. Synchronous.
#pragma once

#include <stop_token>
#include <vector>

#include "image/auth.h"
#include "image/reference.h"
#include "image/registry_settings.h"
#include "oci/image_spec.h"

namespace berth::image {

struct RemoteImage final {
    oci::Descriptor descriptor;
    std::vector<oci::Platform> platforms;
};

/// Throws Error with the texts of a pull.
RemoteImage describe_remote(const RegistrySettings& settings, const Reference& reference,
                            const Credentials& credentials, std::stop_token stop);

}  // namespace berth::image
