// Streaming writer of tar archives into a sink: ustar headers, and a pax header where ustar cannot
// hold a value (long names, large numbers, extended attributes, nanoseconds when asked for).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "archive/stream.h"
#include "archive/tar_entry.h"

namespace berth::archive {

enum class TarTimes { seconds, nanoseconds };

class TarWriter final {
  public:
    explicit TarWriter(Sink& below, TarTimes times = TarTimes::seconds)
        : below_(below), times_(times) {}
    /// An entry with its whole content (empty unless it is a file); entry.size is taken from it.
    void add(TarEntry entry, std::string_view content = {});
    /// A file whose entry.size bytes follow through write().
    void begin_file(const TarEntry& entry);
    /// The same of a file with holes: entry.size counts them, write() takes only what the chunks
    /// hold. Chunks are in order and do not overlap (GNU sparse, pax form 1.0).
    void begin_sparse(const TarEntry& entry, const std::vector<TarChunk>& chunks);
    /// Throws Error{internal} when more comes than begin_file() said.
    void write(std::string_view bytes);
    /// A file whose content comes from `source`; throws Error{invalid} unless it has entry.size
    /// bytes.
    void add_from(const TarEntry& entry, Source& source);
    /// Ends the archive. Does not finish the sink below.
    void finish();

  private:
    void write_header(const TarEntry& entry, const std::string& more_records = "");
    void end_content();

    Sink& below_;
    TarTimes times_;
    std::string current_;
    std::uint64_t left_ = 0;
    std::uint64_t padding_ = 0;
};

}  // namespace berth::archive
