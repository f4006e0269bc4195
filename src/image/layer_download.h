// One layer on its way from the registry: a download thread appends the compressed bytes to a
// nameless file, the unpacking thread reads behind it. The reader sees the end of file only after
// size and digest have been checked, so nothing that is wrong is ever taken as whole.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>

#include "archive/digester.h"
#include "archive/input_limits.h"
#include "archive/stream.h"
#include "base/unique_fd.h"
#include "linux/filesystem.h"
#include "oci/image_spec.h"

namespace berth::image {

class LayerDownload final {
  public:
    LayerDownload(UniqueFd file, oci::Descriptor descriptor)
        : file_(std::move(file)), descriptor_(std::move(descriptor)) {}

    // The download thread:
    /// Bytes at `position`; what is there already is passed over. Throws Error{invalid} past the
    /// announced size, and the errno of a full disk.
    void append(std::int64_t position, std::string_view bytes);
    std::int64_t size() const;
    /// Checks size and digest; once, after the last byte. Throws Error{invalid}.
    void verify();
    /// After verify(): lets the reader see the end.
    void finish();

    // The unpacking thread:
    /// Waits for at least one byte. 0 at the checked end. Throws Error{cancelled} on stop,
    /// which is also how a failed download ends its reader.
    std::size_t read_at(std::int64_t position, std::span<char> buffer, std::stop_token stop);
    bool finished() const;
    const oci::Descriptor& descriptor() const { return descriptor_; }

  private:
    UniqueFd file_;
    const oci::Descriptor descriptor_;
    archive::Digester digester_;  // of the download thread, as the next
    linux_os::SpaceGuard space_{file_};

    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable_any changed_;
    std::int64_t size_ = 0;
    bool finished_ = false;
};

/// The uncompressed tar of a download. Its end is the checked end of the download.
class DownloadedTar final : public archive::Source {
  public:
    /// `on_read` learns how many compressed bytes have been read so far.
    using OnRead = std::function<void(std::int64_t)>;
    DownloadedTar(LayerDownload& download, const archive::Expansion& limit, std::stop_token stop,
                  OnRead on_read);
    ~DownloadedTar() override;
    std::size_t read(std::span<char> buffer) override;

  private:
    std::size_t read_compressed(std::span<char> buffer);

    LayerDownload& download_;
    archive::Expansion limit_;
    std::stop_token stop_;
    OnRead on_read_;
    std::int64_t position_ = 0;
    archive::CallbackSource compressed_;
    std::unique_ptr<archive::Source> tar_;  // made at the first read, which blocks
};

}  // namespace berth::image
