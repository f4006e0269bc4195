// SHA-256, computed over bytes as they pass: Digester by hand, DigestSource and DigestSink within a
// chain of streams. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "archive/stream.h"
#include "base/digest.h"

namespace berth::archive {

class Digester final {
  public:
    Digester();
    ~Digester();
    Digester(Digester&&) noexcept;
    Digester& operator=(Digester&&) noexcept;
    void update(std::string_view bytes);
    /// The digest of everything so far; nothing can be added afterwards.
    Digest finish();

  private:
    struct Context;
    std::unique_ptr<Context> context_;
};

/// The digest of bytes in memory.
Digest sha256(std::string_view bytes);

/// Passes a source on, digesting and counting what passes. Drain it before finish() when the reader
/// above may stop early (as a tar reader does at the end marker).
class DigestSource final : public Source {
  public:
    explicit DigestSource(Source& below) : below_(below) {}
    std::size_t read(std::span<char> buffer) override;
    Digest digest() { return digester_.finish(); }
    std::uint64_t size() const { return size_; }

  private:
    Source& below_;
    Digester digester_;
    std::uint64_t size_ = 0;
};

/// Passes bytes on to a sink, digesting and counting them.
class DigestSink final : public Sink {
  public:
    explicit DigestSink(Sink& below) : below_(below) {}
    void write(std::string_view bytes) override;
    Digest digest() { return digester_.finish(); }
    std::uint64_t size() const { return size_; }

  private:
    Sink& below_;
    Digester digester_;
    std::uint64_t size_ = 0;
};

}  // namespace berth::archive
