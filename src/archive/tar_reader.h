// Streaming reader of tar archives: ustar, pax (x, g), GNU long names and base-256 numbers, GNU
// sparse files (old form and pax 0.0, 0.1, 1.0). Every size is limited; anything truncated or
// corrupt throws Error{invalid} naming the entry. Sockets and unknown types are an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/input_limits.h"
#include "archive/stream.h"
#include "archive/tar_entry.h"
#include "archive/tar_format.h"

namespace berth::archive {

/// Sees every byte of the archive pass, in order: what a reader gave as content, and the others
/// (headers, padding, content that nobody read).
class TarTrace {
  public:
    TarTrace() = default;
    TarTrace(const TarTrace&) = delete;
    TarTrace& operator=(const TarTrace&) = delete;
    virtual ~TarTrace() = default;
    virtual void other(std::string_view bytes) = 0;
    /// Negative for bytes that were given back.
    virtual void content(std::int64_t count) = 0;
};

/// As a Source it reads the content of the current entry, holes as zeros.
class TarReader final : public Source {
  public:
    explicit TarReader(Source& below, const TarLimits& limits = {}, TarTrace* trace = nullptr);
    /// Skips what is left of the current entry and reads the next one; nothing at the end marker.
    /// The bytes behind the marker stay unread in the source below or in the reader's buffer.
    std::optional<TarEntry> next();
    std::size_t read(std::span<char> buffer) override;
    /// The next piece of the content without a copy; empty at its end. Valid until the next call.
    std::string_view read_view();
    /// Passes a hole that the content is at; its size, 0 when there is none.
    std::int64_t skip_hole();
    /// Where the stored bytes of the current entry's content belong.
    std::vector<TarChunk> stored_chunks() const;
    /// Reads the rest of the stream below, as a digest over the whole stream needs.
    void drain_archive();

  private:
    using Records = tar_format::Records;
    bool fill(std::size_t need);
    std::string_view take_block();
    void skip(std::uint64_t size);
    std::optional<TarEntry> read_member();
    bool read_end_marker();
    std::string read_extension(std::string_view header, std::size_t& allowed);
    void add_global(std::string_view records);
    TarEntry parse_header(std::string_view header) const;
    void finish_entry(TarEntry& entry, char type, const Records& records);
    void read_old_sparse(TarEntry& entry, std::string_view header);
    void read_pax_sparse(TarEntry& entry, const Records& records);
    void read_sparse_map();
    void add_chunk(std::int64_t offset, std::int64_t size);
    void start_content(TarEntry& entry);
    bool at_hole();
    std::int64_t hole_end() const;
    std::string_view view_stored(std::uint64_t limit);

    Source& below_;
    TarLimits limits_;
    TarTrace* trace_;
    std::string buffer_;  // [begin_, end_) is read but not used yet
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool archive_ended_ = false;
    std::uint64_t entries_ = 0;
    std::uint64_t total_ = 0;
    std::string current_ = "the first entry";  // for messages
    Records global_;                           // pax `g` records

    std::uint64_t stored_ = 0;      // bytes of the current entry in the archive that are unread
    std::uint64_t padding_ = 0;     // after them
    std::int64_t logical_ = 0;      // position in the content, holes included
    std::int64_t size_ = 0;         // of the content, holes included
    std::vector<TarChunk> chunks_;  // of a sparse entry
    std::size_t chunk_ = 0;
    bool sparse_ = false;
};

}  // namespace berth::archive
