#include "storage/driver.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::storage {
namespace {

TEST(Driver, KnowsDockersNames) {
    EXPECT_EQ(driver_from("overlay2"), DriverKind::overlay);
    EXPECT_EQ(driver_from("overlayfs"), DriverKind::overlay);
    EXPECT_EQ(driver_from("fuse-overlayfs"), DriverKind::fuse_overlayfs);
    EXPECT_EQ(driver_from("vfs"), DriverKind::copy);
    EXPECT_THROW(driver_from("zfs"), Error);
}

TEST(ChainId, IsTheDiffIdForTheLowestLayer) {
    const Digest diff = Digest::from_hex(std::string(64, 'a'));
    EXPECT_EQ(chain_id_of(std::nullopt, diff), diff);
}

TEST(ChainId, JoinsParentAndDiffId) {
    const Digest parent = Digest::from_hex(std::string(64, 'a'));
    const Digest diff = Digest::from_hex(std::string(64, 'b'));
    EXPECT_NE(chain_id_of(parent, diff), chain_id_of(diff, parent));
}

}  // namespace
}  // namespace berth::storage
