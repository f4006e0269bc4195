#include "image/retry.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/error.h"

namespace berth::image {

void pause_before_retry(ProgressLog& progress, const std::string& id,
                        std::chrono::milliseconds pause, std::stop_token stop) {
    using namespace std::chrono_literals;
    std::mutex unshared;
    std::condition_variable_any never;
    while (pause > 0ms) {
        const auto seconds = (pause + 999ms) / 1000ms;
        progress.layer(id,
                       fmt::format("Retrying in {} second{}", seconds, seconds == 1 ? "" : "s"));
        const auto step = std::min<std::chrono::milliseconds>(pause, 1s);
        std::unique_lock lock(unshared);
        never.wait_for(lock, stop, step, [] { return false; });
        if (stop.stop_requested()) throw Error(ErrorKind::cancelled, "the transfer was cancelled");
        pause -= step;
    }
}

}  // namespace berth::image
