// The Dockerfile instructions that import and commit accept in `changes`: CMD ENTRYPOINT ENV EXPOSE
// HEALTHCHECK LABEL ONBUILD SHELL STOPSIGNAL USER VOLUME WORKDIR. Pure. Errors: Error{invalid}.
#pragma once

#include <string>
#include <vector>

#include "oci/image_spec.h"

namespace berth::image {

/// `base` with the instructions applied in order; each text may hold several lines.
oci::ContainerDefaults apply_changes(oci::ContainerDefaults base,
                                     const std::vector<std::string>& changes);

}  // namespace berth::image
