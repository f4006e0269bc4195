// What a layer's archive had besides the content of its files: headers, padding, order. With the
// unpacked files this gives the archive again, byte for byte, so that save and push keep digests
// although no archive is stored. `<layer>/tar.gz` is a gzip stream of segments, each a letter and
// numbers of 7 bits a byte: R length bytes | F length path count (offset size)… of a file's
// content. A file that a later entry of the same archive replaced is kept in `<layer>/replaced/N`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "archive/compression.h"
#include "archive/tar_reader.h"
#include "base/unique_fd.h"

namespace berth::storage {

/// A path that was moved aside after `segments` file segments had been written.
struct ReplacedFile final {
    std::uint64_t segments = 0;
    std::string path;  // in the layer
    bool operator==(const ReplacedFile&) const = default;
};

/// Writes the record while a TarReader reads and a LayerWriter unpacks. One thread.
class TarRecorder final : public archive::TarTrace {
  public:
    /// `directory` is the layer's: the parent of its `fs`.
    explicit TarRecorder(const std::string& directory);
    ~TarRecorder() override;

    void other(std::string_view bytes) override;
    void content(std::int64_t count) override { content_ += count; }
    /// The content that was just read is the file `path` of the layer, at these places in it.
    void stored(const std::string& path, const std::vector<archive::TarChunk>& chunks);
    /// Moves what is at the place aside, since an entry replaces it; nothing there is fine.
    void replace(BorrowedFd parent, const std::string& name, const std::string& path);
    void finish();
    const std::vector<ReplacedFile>& replaced() const { return replaced_; }

  private:
    void flush();

    std::string directory_;
    UniqueFd file_;
    archive::FdSink sink_;
    archive::GzipSink compressed_;
    std::string pending_;       // bytes of the R segment that grows
    std::int64_t content_ = 0;  // bytes of content that no file has claimed yet
    std::uint64_t segments_ = 0;
    std::vector<ReplacedFile> replaced_;
};

/// The archive again. Throws Error{not_found} for a layer without a record (unpacked by a berth
/// that kept none), Error{internal} when the files are not what they were.
class TarReplay final : public archive::Source {
  public:
    TarReplay(const std::string& directory, std::vector<ReplacedFile> replaced);
    ~TarReplay() override;
    std::size_t read(std::span<char> buffer) override;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace berth::storage
