// What transfers of several layers share: how often progress is said, and the pause before another
// attempt.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "image/progress_log.h"

namespace berth::image {

/// Says when the next line of a counting progress is due.
class Pace final {
  public:
    bool due() {
        const auto now = std::chrono::steady_clock::now();
        if (now < next_) return false;
        next_ = now + std::chrono::milliseconds(100);
        return true;
    }

  private:
    std::chrono::steady_clock::time_point next_;
};

/// Counts the seconds down in "Retrying in N seconds" of the layer `id`. Throws Error{cancelled}.
void pause_before_retry(ProgressLog& progress, const std::string& id,
                        std::chrono::milliseconds pause, std::stop_token stop);

}  // namespace berth::image
