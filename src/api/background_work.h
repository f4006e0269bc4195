// Work of the engine that goes on while its reply is sent, and what became of it.
#pragma once

#include <exception>
#include <memory>
#include <stop_token>

#include "async/sync.h"

namespace berth::api {

struct BackgroundWork {
    async::Event changed;  // set at the end, and whenever there is news
    bool done = false;
    std::exception_ptr failure;
    std::stop_source stop;
};

/// Runs `task` and keeps its failure.
async::Task<> run_work(std::shared_ptr<BackgroundWork> work, async::Task<> task);
/// Waits for the end, so that nothing of the call is used after it. News is passed over.
async::Task<> until_done(std::shared_ptr<BackgroundWork> work);

}  // namespace berth::api
