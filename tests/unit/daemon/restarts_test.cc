#include "daemon/restarts.h"

#include <gtest/gtest.h>

namespace berth::daemon {
namespace {

using std::chrono::milliseconds;

TEST(Restarts, wait_doubles_up_to_ten_seconds) {
    Restarts restarts;
    const SteadyTime now{};
    restarts.started(now);
    for (const int expected : {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000})
        EXPECT_EQ(restarts.ended(now) - now, milliseconds(expected));
}

TEST(Restarts, after_a_long_life_there_is_no_wait_but_before_the_next_start) {
    Restarts restarts;
    SteadyTime now{};
    restarts.started(now);
    restarts.ended(now);
    restarts.ended(now);
    restarts.started(now);
    now += Restarts::kStableLife;
    EXPECT_EQ(restarts.ended(now), now);
    restarts.started(now);
    EXPECT_EQ(restarts.ended(now) - now, Restarts::kFirstDelay);
}

}  // namespace
}  // namespace berth::daemon
