// Compressed streams. Reading sniffs the format from the first bytes: gzip (also of several
// members), zstd (several frames), xz, bzip2, or none of these, which passes through as it is.
// Truncated or corrupt input, and a decompression bomb, throw Error{invalid}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "archive/input_limits.h"
#include "archive/stream.h"

namespace berth::archive {

enum class Compression { none, gzip, zstd, xz, bzip2 };

std::string_view to_string(Compression compression);
/// How many first bytes sniff() wants to see.
constexpr std::size_t kSniffSize = 6;
Compression sniff(std::string_view first_bytes);

/// A decompressing reader; borrows the source below.
class DecompressSource final : public Source {
  public:
    /// Reads the first bytes of `below` at once, in order to sniff.
    explicit DecompressSource(Source& below, const Expansion& limit = {});
    ~DecompressSource() override;
    Compression compression() const { return compression_; }
    std::size_t read(std::span<char> buffer) override;

  private:
    class Input;
    void check_expansion() const;

    Expansion limit_;
    std::uint64_t produced_ = 0;
    std::string head_;
    std::unique_ptr<Input> input_;     // the head, then the source below
    std::unique_ptr<Source> decoder_;  // null for Compression::none
    Compression compression_ = Compression::none;
};

/// The same on the heap.
std::unique_ptr<Source> decompress(Source& below, const Expansion& limit = {});

/// A reader that compresses for speed: one gzip member, the same bytes for the same content however
/// the source cuts it. Borrows the source below.
std::unique_ptr<Source> compress_gzip(Source& below);

/// Compresses into the sink below; one gzip member. finish() writes the trailer.
class GzipSink final : public Sink {
  public:
    explicit GzipSink(Sink& below);
    ~GzipSink() override;
    void write(std::string_view bytes) override;
    void finish() override;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace berth::archive
