// Restart policies: whether a container starts again after an exit, and after which pause. Pure.
#pragma once

#include <chrono>

#include "engine/model/record.h"

namespace berth::engine::model {

struct RestartFacts final {
    int exit_code = 0;
    bool oom_killed = false;
    bool manually_stopped = false;
    int restart_count = 0;  // restarts since the last start by hand
};

bool should_restart(const RestartPolicy& policy, const RestartFacts& facts);
/// When the engine starts and the container does not run.
bool should_start_with_engine(const RestartPolicy& policy, const ContainerRecord& record);

/// 100 ms, doubled by each exit up to a minute; at the beginning again after a run of 10 s.
class RestartBackoff final {
  public:
    std::chrono::milliseconds next(std::chrono::nanoseconds last_run);
    void reset() { pause_ = std::chrono::milliseconds(0); }

  private:
    std::chrono::milliseconds pause_{0};
};

/// Throws Error{invalid} with Docker's texts.
void check_restart_policy(const RestartPolicy& policy, bool auto_remove);

}  // namespace berth::engine::model
