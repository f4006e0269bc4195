#include "net/ipam.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::net {
namespace {

TEST(Address, RoundTripsBothFamilies) {
    for (const char* text : {"172.17.0.2", "0.0.0.0", "255.255.255.255", "fd00::2", "::"})
        EXPECT_EQ(IpAddress::parse(text).str(), text);
    EXPECT_EQ(Subnet::parse("172.17.3.4/16").network().str(), "172.17.0.0/16");
    EXPECT_EQ(Subnet::parse("172.17.3.4/16").last().str(), "172.17.255.255");
    EXPECT_EQ(Subnet::parse("fd00:1::5/64").first().str(), "fd00:1::");
}

TEST(Address, RefusesWhatIsNoCidr) {
    for (const char* text :
         {"172.17.0.0", "172.17.0.0/33", "a/8", "1.2.3.4/", "1.2.3.4/8x", "::/129"})
        EXPECT_THROW(Subnet::parse(text), Error) << text;
}

TEST(Pools, FirstNetworkIs172_17) {
    EXPECT_EQ(pick_subnet(default_pools(), {}, {}).str(), "172.17.0.0/16");
}

TEST(Pools, SkipNetworksAndHostRoutes) {
    const std::vector used{Subnet::parse("172.17.0.0/16")};
    const std::vector routes{Subnet::parse("172.18.5.0/24"), Subnet::parse("10.0.0.0/8")};
    EXPECT_EQ(pick_subnet(default_pools(), used, routes).str(), "172.19.0.0/16");
}

TEST(Pools, SixteenSlash20AfterTheSlash16) {
    std::vector<Subnet> used;
    for (int i = 0; i < 15 + 16; ++i) used.push_back(pick_subnet(default_pools(), used, {}));
    EXPECT_EQ(used[15].str(), "192.168.0.0/20");
    EXPECT_EQ(used.back().str(), "192.168.240.0/20");
    EXPECT_EQ(failure_text([&] { pick_subnet(default_pools(), used, {}); }),
              "all predefined address pools have been fully subnetted");
}

TEST(Pools, ARouteOverAHugePoolIsPassedAtOnce) {
    const std::vector<PoolSource> sources{{Subnet::parse("fd00::/8"), 64},
                                          {Subnet::parse("fc00:1::/32"), 64}};
    const std::vector routes{Subnet::parse("fd00::/8"), Subnet::parse("fc00:1::/62"),
                             Subnet::parse("fc00:1:0:5::7/128")};
    EXPECT_EQ(pick_subnet(sources, {}, routes).str(), "fc00:1:0:4::/64");
    EXPECT_EQ(pick_subnet(sources, std::vector{Subnet::parse("fc00:1:0:4::/64")}, routes).str(),
              "fc00:1:0:6::/64");
}

TEST(Pools, OverlapHasDockersText) {
    const std::vector used{Subnet::parse("10.1.0.0/16")};
    EXPECT_EQ(failure_text([&] { check_no_overlap(Subnet::parse("10.1.2.0/24"), used); }),
              "Pool overlaps with other one on this address space");
    check_no_overlap(Subnet::parse("10.2.0.0/16"), used);
}

TEST(Pools, UniqueLocalNetworksAreTheSameForTheSameEngine) {
    const PoolSource pool = unique_local_pool("engine");
    EXPECT_EQ(pool.base, unique_local_pool("engine").base);
    EXPECT_NE(pool.base, unique_local_pool("another").base);
    EXPECT_TRUE(Subnet::parse("fd00::/8").contains(pool.base.address));
    const std::vector used{pick_subnet(std::vector{pool}, {}, {})};
    EXPECT_EQ(used[0].prefix, 64);
    EXPECT_FALSE(pick_subnet(std::vector{pool}, used, {}).overlaps(used[0]));
}

TEST(AddressPool, AnExcludedAddressIsNeverGivenOut) {
    AddressPool pool(Subnet::parse("10.0.0.0/29"));
    pool.exclude(IpAddress::parse("10.0.0.2"));
    EXPECT_EQ(pool.allocate().str(), "10.0.0.3");
}

TEST(AddressPool, GivesIpv6AddressesSerially) {
    AddressPool pool(Subnet::parse("fd00:1::/64"));
    EXPECT_EQ(pool.gateway().str(), "fd00:1::1");
    EXPECT_EQ(pool.allocate().str(), "fd00:1::2");
    EXPECT_EQ(pool.with_prefix(pool.allocate()).str(), "fd00:1::3/64");
}

TEST(AddressPool, GivesSeriallyBehindTheGateway) {
    AddressPool pool(Subnet::parse("172.17.0.0/16"));
    EXPECT_EQ(pool.gateway().str(), "172.17.0.1");
    EXPECT_EQ(pool.allocate().str(), "172.17.0.2");
    EXPECT_EQ(pool.with_prefix(pool.allocate()).str(), "172.17.0.3/16");
}

TEST(AddressPool, ReusesReleasedAddressesLast) {
    AddressPool pool(Subnet::parse("10.0.0.0/29"));
    const IpAddress first = pool.allocate();
    pool.release(first);
    for (const char* expected : {"10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"})
        EXPECT_EQ(pool.allocate().str(), expected);
    EXPECT_EQ(failure_text([&] { pool.allocate(); }),
              "no available IPv4 addresses on this network's address pools");
}

TEST(AddressPool, StaysInsideTheRange) {
    AddressPool pool(Subnet::parse("10.0.0.0/24"), Subnet::parse("10.0.0.128/30"));
    std::vector<std::string> given;
    for (int i = 0; i < 4; ++i) given.push_back(pool.allocate().str());
    EXPECT_THAT(given,
                testing::ElementsAre("10.0.0.128", "10.0.0.129", "10.0.0.130", "10.0.0.131"));
    EXPECT_THROW(pool.allocate(), Error);
}

TEST(AddressPool, ReservesOnce) {
    AddressPool pool(Subnet::parse("10.0.0.0/24"));
    pool.reserve(IpAddress::parse("10.0.0.2"));
    EXPECT_EQ(pool.allocate().str(), "10.0.0.3");
    EXPECT_EQ(failure_text([&] { pool.reserve(IpAddress::parse("10.0.0.3")); }),
              "Address already in use");
    EXPECT_THROW(pool.reserve(IpAddress::parse("10.0.1.3")), Error);
}

TEST(AddressPool, NetworkAndBroadcastAddressBelongToNobody) {
    AddressPool pool(Subnet::parse("10.0.0.0/24"));
    for (const char* text : {"10.0.0.0", "10.0.0.255"})
        EXPECT_THROW(pool.reserve(IpAddress::parse(text)), Error) << text;
    AddressPool pair(Subnet::parse("10.0.1.0/31"), std::nullopt, IpAddress::parse("10.0.1.0"));
    pair.reserve(IpAddress::parse("10.0.1.1"));
    AddressPool six(Subnet::parse("fd00::/120"));
    six.reserve(IpAddress::parse("fd00::ff"));
}

TEST(AddressPool, GatewayIsNeverReleased) {
    AddressPool pool(Subnet::parse("10.0.0.0/30"));
    pool.release(pool.gateway());
    EXPECT_EQ(pool.allocate().str(), "10.0.0.2");
    EXPECT_THROW(pool.allocate(), Error);
}

TEST(Mac, ComesFromTheAddressOrFromChance) {
    EXPECT_EQ(mac_from_address(IpAddress::parse("172.17.0.2")), "02:42:ac:11:00:02");
    const std::string mac = random_mac();
    EXPECT_TRUE(mac.starts_with("02:42:"));
    check_mac(mac);
    EXPECT_NE(mac, random_mac());
    for (const char* bad : {"", "02:42:ac:11:00", "02-42-ac-11-00-02", "02:42:ac:11:00:0g"})
        EXPECT_THROW(check_mac(bad), Error) << bad;
}

}  // namespace
}  // namespace berth::net
