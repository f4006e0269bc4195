#include "linux/congestion_control.h"

#include <gtest/gtest.h>

namespace berth::linux_os {
namespace {

TEST(congestion_control, one_that_does_not_pace_stays) {
    EXPECT_EQ(choose_local_congestion_control("cubic\n", "reno cubic\n"), "");
}

TEST(congestion_control, one_that_paces_gives_way_to_what_is_allowed) {
    EXPECT_EQ(choose_local_congestion_control("bbr\n", "reno cubic bbr\n"), "cubic");
    EXPECT_EQ(choose_local_congestion_control("bbr\n", "reno bbr\n"), "reno");
}

}  // namespace
}  // namespace berth::linux_os
