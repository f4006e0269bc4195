// The NDJSON streams of pull, load and import: progress to standard error's terminal, results to
// standard output, an error in the stream as an Error.
#pragma once

#include <string>

#include "http/client.h"

namespace berth::cli {

enum class Show { all, nothing };

/// Shows a stream to its end. Throws Error with the stream's own text when it reports a failure.
void show_progress(http::ClientResponse response, Show what = Show::all);

/// "host:5000/a:1" → name and tag, "latest" when there is none; no tag at all for all of them.
struct NamedTag final {
    std::string name;
    std::string tag;
};
enum class Tags { one, all };
/// Throws Error{invalid} when all tags and one are asked for.
NamedTag split_tag(const std::string& reference, Tags tags);

struct PullWish final {
    std::string reference;
    std::string platform;
    Tags tags = Tags::one;
    Show show = Show::all;
};
/// Pulls and shows it. Throws Error.
void pull_image(const std::string& host, const PullWish& wish);

}  // namespace berth::cli
