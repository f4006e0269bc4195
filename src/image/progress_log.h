// Serialises the progress lines of several threads into the caller's callback.
#pragma once

#include <mutex>
#include <string>

#include "image/progress.h"

namespace berth::image {

class ProgressLog final {
  public:
    explicit ProgressLog(const ProgressCallback& callback) : callback_(callback) {}
    void write(const Progress& progress) {
        const std::lock_guard lock(mutex_);
        callback_(progress);
    }
    void status(std::string text) { write({.stream = "", .status = std::move(text)}); }
    void stream(std::string text) { write({.stream = std::move(text)}); }
    /// A line about one layer, with an empty progressDetail as Docker sends it.
    void layer(const std::string& id, std::string text) {
        write(
            {.stream = "", .status = std::move(text), .id = id, .detail = Progress::Detail::empty});
    }
    /// The two lines at the end of a push.
    void pushed(PushedTag tag) {
        status(fmt::format("{}: digest: {} size: {}", tag.tag, tag.digest, tag.size));
        write({.stream = "", .status = "", .pushed = std::move(tag)});
    }
    void bytes(const std::string& id, std::string text, ProgressDetail detail) {
        write({.stream = "",
               .status = std::move(text),
               .id = id,
               .detail = Progress::Detail::bytes,
               .bytes = detail});
    }

  private:
    std::mutex mutex_;  // held during the callback, which need not be thread-safe
    const ProgressCallback& callback_;
};

}  // namespace berth::image
