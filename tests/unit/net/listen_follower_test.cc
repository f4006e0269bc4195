#include "net/listen_follower.h"

#include <gtest/gtest.h>

namespace berth::net {
namespace {

using std::chrono::milliseconds;

TEST(LookPause, GrowsWithTheAbsence) {
    milliseconds last{0};
    for (const milliseconds absent : {milliseconds(0), milliseconds(10'000), milliseconds(60'000),
                                      milliseconds(600'000), milliseconds(86'400'000)}) {
        EXPECT_GT(look_pause(absent, 1), last);
        last = look_pause(absent, 1);
    }
    EXPECT_LE(look_pause(milliseconds(0), 1), milliseconds(2));
    EXPECT_LE(last, milliseconds(250));
}

TEST(LookPause, ManyAbsentServersShareABudget) {
    EXPECT_EQ(look_pause(milliseconds(0), 1000), milliseconds(500));
    EXPECT_EQ(look_pause(milliseconds(86'400'000), 100), look_pause(milliseconds(86'400'000), 1));
}

}  // namespace
}  // namespace berth::net
