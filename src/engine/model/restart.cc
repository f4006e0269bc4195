#include "engine/model/restart.h"

#include <algorithm>

#include "base/error.h"

namespace berth::engine::model {

bool should_restart(const RestartPolicy& policy, const RestartFacts& facts) {
    if (facts.manually_stopped) return false;
    if (policy.name == "always" || policy.name == "unless-stopped") return true;
    if (policy.name != "on-failure") return false;
    if (facts.exit_code == 0 && !facts.oom_killed) return false;
    return policy.maximum_retry_count == 0 || facts.restart_count < policy.maximum_retry_count;
}

bool should_start_with_engine(const RestartPolicy& policy, const ContainerRecord& record) {
    if (!record.has_been_started) return false;
    if (policy.name == "always") return true;
    if (policy.name == "unless-stopped") return !record.manually_stopped;
    return should_restart(policy, {.exit_code = record.state.exit_code,
                                   .oom_killed = record.state.oom_killed,
                                   .manually_stopped = record.manually_stopped,
                                   .restart_count = record.restart_count});
}

std::chrono::milliseconds RestartBackoff::next(std::chrono::nanoseconds last_run) {
    using namespace std::chrono_literals;
    if (last_run >= 10s || pause_ == 0ms) {
        pause_ = 100ms;
    } else {
        pause_ = std::min<std::chrono::milliseconds>(pause_ * 2, 1min);
    }
    return pause_;
}

void check_restart_policy(const RestartPolicy& policy, bool auto_remove) {
    const std::string& name = policy.name;
    const bool none = name.empty() || name == "no";
    if (!none && name != "always" && name != "unless-stopped" && name != "on-failure")
        throw Error(ErrorKind::invalid,
                    "invalid restart policy: unknown policy '{}'; use one of 'no', 'always', "
                    "'on-failure', or 'unless-stopped'",
                    name);
    if (policy.maximum_retry_count < 0)
        throw Error(ErrorKind::invalid,
                    "invalid restart policy: maximum retry count cannot be negative");
    if (policy.maximum_retry_count > 0 && name != "on-failure")
        throw Error(ErrorKind::invalid,
                    "invalid restart policy: maximum retry count can only be used with "
                    "'on-failure'");
    if (auto_remove && !none)
        throw Error(ErrorKind::invalid, "can't create 'AutoRemove' container with restart policy");
}

}  // namespace berth::engine::model
