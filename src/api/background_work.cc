#include "api/background_work.h"

namespace berth::api {

async::Task<> run_work(std::shared_ptr<BackgroundWork> work, async::Task<> task) {
    try {
        co_await std::move(task);
    } catch (...) {
        work->failure = std::current_exception();
    }
    work->done = true;
    work->changed.set();
}

async::Task<> until_done(std::shared_ptr<BackgroundWork> work) {
    while (!work->done) {
        co_await work->changed.wait();
        work->changed.clear();
    }
}

}  // namespace berth::api
