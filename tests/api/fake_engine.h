// What tests see and steer of the canned engine (fake_engine.cc).
#pragma once

#include <atomic>
#include <string>

#include "async/sync.h"
#include "engine/containers.h"

namespace berth::engine {

struct FakeEngine final {
    async::Event exited;  // set on the engine's thread: the container "web" ends with 3
    StopOptions stopped;
    std::string registry_auth;  // of the last pull
    int events_left = 0;
    std::atomic<bool> log_cancelled = false;
};

FakeEngine& fake();

}  // namespace berth::engine
