// Progress of pull, load and import, as lines of Docker's stream. Plain values; the API writes
// to_line() of each into the chunked reply.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace berth::image {

struct ProgressDetail final {
    std::int64_t current = 0;
    std::int64_t total = 0;
};

/// What a push made of a tag.
struct PushedTag final {
    std::string tag;
    std::string digest;
    std::int64_t size = 0;
};

struct Progress final {
    std::string stream;  // "Loaded image: …\n"; the only member when set
    std::string status;
    std::string id;
    /// Absent: no progressDetail member; `has_detail` with none: an empty object.
    enum class Detail { absent, empty, bytes } detail = Detail::absent;
    ProgressDetail bytes;
    std::optional<PushedTag> pushed;  // the only member when set
};

/// Called from any thread of the operation, never by two at a time. May block (that slows the
/// operation down) and may throw to end it.
using ProgressCallback = std::function<void(const Progress&)>;

/// One JSON object and CR LF.
std::string to_line(const Progress& progress);
/// The line that reports a failure after the stream has begun.
std::string error_line(const Error& error);
/// "[=====>      ]  1.2MB/3MB", as the docker CLI of today and of old shows it.
std::string progress_bar(const ProgressDetail& detail);
/// Decimal units with four digits: "1.234MB".
std::string human_size(std::int64_t bytes);

}  // namespace berth::image
