// When a child process that died is started again: at once after 10 s of life. One that dies sooner
// would spin, so then the wait doubles from 100 ms to 10 s. Pure: the caller brings the clock.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace berth::daemon {

class Restarts final {
  public:
    static constexpr std::chrono::milliseconds kFirstDelay{100};
    static constexpr std::chrono::milliseconds kLongestDelay{10'000};
    static constexpr std::chrono::milliseconds kStableLife{10'000};

    void started(SteadyTime now) { started_ = now; }
    /// The child ended: when to start it again.
    SteadyTime ended(SteadyTime now) {
        if (now - started_ >= kStableLife) delay_ = {};
        const SteadyTime at = now + delay_;
        delay_ = std::clamp(delay_ * 2, kFirstDelay, kLongestDelay);
        return at;
    }

  private:
    SteadyTime started_{};
    std::chrono::milliseconds delay_ = kFirstDelay;
};

}  // namespace berth::daemon
