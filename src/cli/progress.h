// The NDJSON streams of pull, load and import: progress to standard error's terminal, results to
// standard output, an error in the stream as an Error.
#pragma once

#include <string>

#include "http/client.h"

namespace berth::cli {

/// Shows a stream to its end. Throws Error with the stream's own text when it reports a failure.
void show_progress(http::ClientResponse response);

/// Pulls `reference` and shows it. Throws Error.
void pull_image(const std::string& host, const std::string& reference, const std::string& platform);

}  // namespace berth::cli
