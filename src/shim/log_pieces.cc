#include "shim/log_pieces.h"

#include "base/id.h"

namespace berth::shim {

void LogPieces::give(std::string_view line, const Sink& sink) {
    const bool whole = line.ends_with('\n');
    if (whole) line.remove_suffix(1);
    if (whole && id_.empty()) return sink({.text = line});
    if (id_.empty()) {
        id_ = random_hex_id();
        ordinal_ = 0;
    }
    ++ordinal_;
    sink({.text = line, .partial = true, .last = whole, .id = id_, .ordinal = ordinal_});
    if (whole) id_.clear();
}

void LogPieces::feed(std::string_view bytes, const Sink& sink) {
    lines_.feed(bytes, [&](std::string_view line) { give(line, sink); });
}

void LogPieces::finish(const Sink& sink) {
    lines_.finish([&](std::string_view line) { give(line, sink); });
}

}  // namespace berth::shim
