// The files of a result for the client: `docker build -o` with type tar or local. They come out of
// a container that is made of the image for this and never runs.
#pragma once

#include <string>

#include "buildkit/service.h"

namespace berth::buildkit {

/// `index` is the exporter's place in the request. Throws Error, the client's own included.
async::Task<> send_output(Service& service, std::shared_ptr<Build> build, std::size_t index,
                          std::string image);

}  // namespace berth::buildkit
