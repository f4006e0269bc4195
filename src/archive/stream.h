// Byte streams: a Source is pulled from, a Sink is pushed into. Both block, belong to one thread at
// a time, borrow what they are built on (it must outlive them) and throw Error on failure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace berth::archive {

/// Size of the pieces that streams work in.
constexpr std::size_t kBlockSize = 256U << 10;

class Source {
  public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;
    /// Reads at least one and at most buffer.size() bytes; 0 only at the end.
    virtual std::size_t read(std::span<char> buffer) = 0;
};

class Sink {
  public:
    Sink() = default;
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;
    virtual ~Sink() = default;
    /// Takes all of `bytes`.
    virtual void write(std::string_view bytes) = 0;
    /// Writes trailers; to be called once at the end. Does not finish the sink below.
    virtual void finish() {}
};

/// Reads a descriptor from its current position; borrows it.
class FdSource final : public Source {
  public:
    explicit FdSource(BorrowedFd fd) : fd_(fd) {}
    std::size_t read(std::span<char> buffer) override;

  private:
    BorrowedFd fd_;
};

/// Reads bytes in memory; borrows them.
class MemorySource final : public Source {
  public:
    explicit MemorySource(std::string_view bytes) : rest_(bytes) {}
    std::size_t read(std::span<char> buffer) override;

  private:
    std::string_view rest_;
};

/// Reads from a function with Source's contract.
class CallbackSource final : public Source {
  public:
    using Read = std::function<std::size_t(std::span<char>)>;
    explicit CallbackSource(Read read) : read_(std::move(read)) {}
    std::size_t read(std::span<char> buffer) override { return read_(buffer); }

  private:
    Read read_;
};

/// Throws Error{invalid} naming `what` when the stream below gives more than `limit` bytes.
class LimitedSource final : public Source {
  public:
    LimitedSource(Source& below, std::uint64_t limit, std::string what)
        : below_(below), limit_(limit), left_(limit), what_(std::move(what)) {}
    std::size_t read(std::span<char> buffer) override;

  private:
    Source& below_;
    std::uint64_t limit_;
    std::uint64_t left_;
    std::string what_;
};

/// Writes to a descriptor; borrows it.
class FdSink final : public Sink {
  public:
    explicit FdSink(BorrowedFd fd) : fd_(fd) {}
    void write(std::string_view bytes) override;

  private:
    BorrowedFd fd_;
};

/// Gathers everything in memory.
class StringSink final : public Sink {
  public:
    void write(std::string_view bytes) override { text_ += bytes; }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

/// Writes to a function.
class CallbackSink final : public Sink {
  public:
    using Write = std::function<void(std::string_view)>;
    explicit CallbackSink(Write write) : write_(std::move(write)) {}
    void write(std::string_view bytes) override { write_(bytes); }

  private:
    Write write_;
};

/// Reads until `buffer` is full or the stream ends; the number of bytes read.
std::size_t read_full(Source& source, std::span<char> buffer);
/// Everything up to the end. Throws Error{invalid} past `limit` bytes.
std::string read_to_string(Source& source, std::size_t limit);
/// Moves everything from `source` to `sink` (which is not finished); the number of bytes.
std::uint64_t copy(Source& source, Sink& sink);
/// Reads up to the end and throws the bytes away; their number.
std::uint64_t drain(Source& source);

}  // namespace berth::archive
