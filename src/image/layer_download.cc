#include "image/layer_download.h"

#include <unistd.h>

#include <algorithm>

#include "archive/compression.h"
#include "base/error.h"

namespace berth::image {

void LayerDownload::append(std::int64_t position, std::string_view bytes) {
    const std::int64_t have = size();
    if (position > have)
        throw Error(ErrorKind::invalid, "the registry skipped bytes of {}",
                    descriptor_.digest.str());
    const auto known = static_cast<std::size_t>(
        std::min<std::int64_t>(have - position, static_cast<std::int64_t>(bytes.size())));
    bytes.remove_prefix(known);
    if (bytes.empty()) return;
    const auto count = static_cast<std::int64_t>(bytes.size());
    if (have + count > descriptor_.size)
        throw Error(ErrorKind::invalid,
                    "filesystem layer verification failed for digest {}: "
                    "the registry sends more than the {} bytes it announced",
                    descriptor_.digest.str(), descriptor_.size);
    space_.take(bytes.size());
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t written = ::pwrite(file_.get(), bytes.data() + done, bytes.size() - done,
                                         have + static_cast<std::int64_t>(done));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) throw_errno("writing the layer {}", descriptor_.digest.str());
        done += static_cast<std::size_t>(written);
    }
    digester_.update(bytes);
    const std::lock_guard lock(mutex_);
    size_ = have + count;
    changed_.notify_all();
}

std::int64_t LayerDownload::size() const {
    const std::lock_guard lock(mutex_);
    return size_;
}

void LayerDownload::verify() {
    if (size() != descriptor_.size)
        throw Error(ErrorKind::invalid,
                    "filesystem layer verification failed for digest {}: {} bytes instead of {}",
                    descriptor_.digest.str(), size(), descriptor_.size);
    if (digester_.finish() != descriptor_.digest)
        throw Error(ErrorKind::invalid, "filesystem layer verification failed for digest {}",
                    descriptor_.digest.str());
}

void LayerDownload::finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
}

bool LayerDownload::finished() const {
    const std::lock_guard lock(mutex_);
    return finished_;
}

std::size_t LayerDownload::read_at(std::int64_t position, std::span<char> buffer,
                                   std::stop_token stop) {
    std::int64_t available = 0;
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, stop, [&] { return size_ > position || finished_; });
        if (size_ == position && finished_) return 0;
        if (size_ <= position) throw Error(ErrorKind::cancelled, "the pull was cancelled");
        available = size_ - position;
    }
    const auto count = std::min(buffer.size(), static_cast<std::size_t>(available));
    while (true) {
        const ssize_t got = ::pread(file_.get(), buffer.data(), count, position);
        if (got > 0) return static_cast<std::size_t>(got);
        if (got == 0 || errno != EINTR)
            throw_errno("reading the layer {}", descriptor_.digest.str());
    }
}

DownloadedTar::DownloadedTar(LayerDownload& download, const archive::Expansion& limit,
                             std::stop_token stop, OnRead on_read)
    : download_(download),
      limit_(limit),
      stop_(std::move(stop)),
      on_read_(std::move(on_read)),
      compressed_([this](std::span<char> buffer) { return read_compressed(buffer); }) {}

DownloadedTar::~DownloadedTar() = default;

std::size_t DownloadedTar::read_compressed(std::span<char> buffer) {
    const std::size_t count = download_.read_at(position_, buffer, stop_);
    position_ += static_cast<std::int64_t>(count);
    on_read_(position_);
    return count;
}

std::size_t DownloadedTar::read(std::span<char> buffer) {
    if (!tar_) tar_ = archive::decompress(compressed_, limit_);
    const std::size_t count = tar_->read(buffer);
    // A decoder may stop before the end of the file; the digest covers all of it.
    if (count == 0) archive::drain(compressed_);
    return count;
}

}  // namespace berth::image
