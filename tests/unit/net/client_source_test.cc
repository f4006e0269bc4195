#include "net/client_source.h"

#include <gtest/gtest.h>

namespace berth::net {
namespace {

class Source : public testing::Test {
  protected:
    Source() {
        source.set_transparent(IpFamily::v4);
        source.set_transparent(IpFamily::v6);
        source.set_networks(std::vector<NetworkSpec>{
            {.subnet = "172.17.0.0/16",
             .gateway = "172.17.0.1",
             .subnet_v6 = "fd88::/64",
             .gateway_v6 = "fd88::1"},
            {.subnet = "172.18.0.0/16", .gateway = "172.18.0.1", .internal = true}});
    }
    bool keeps(const char* client, const char* container = "172.17.0.2") const {
        return source.keeps(IpAddress::parse(client), IpAddress::parse(container));
    }
    ClientSource source;
};

TEST_F(Source, OfAClientElsewhereIsKept) {
    EXPECT_TRUE(keeps("198.51.100.7"));
    EXPECT_TRUE(keeps("10.1.2.3"));
    EXPECT_TRUE(keeps("2001:db8::7", "fd88::2"));
}

TEST_F(Source, OfAnotherFamilyIsNot) {
    EXPECT_FALSE(keeps("2001:db8::7"));
    EXPECT_FALSE(keeps("198.51.100.7", "fd88::2"));
}

TEST_F(Source, ThatMeansSomethingElseInsideIsNot) {
    for (const char* client : {"127.0.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "172.17.0.9",
                               "172.18.0.9", "10.0.2.100"})
        EXPECT_FALSE(keeps(client)) << client;
    for (const char* client : {"::1", "fe80::1", "fd88::9", "fd00::100", "::ffff:198.51.100.7"})
        EXPECT_FALSE(keeps(client, "fd88::2")) << client;
}

TEST_F(Source, IsNotKeptWhereTheAnswerHasNoWayBack) {
    EXPECT_FALSE(keeps("198.51.100.7", "172.18.0.2"));
    EXPECT_FALSE(keeps("198.51.100.7", "172.30.0.2"));
    EXPECT_FALSE(
        ClientSource().keeps(IpAddress::parse("198.51.100.7"), IpAddress::parse("172.17.0.2")));
}

}  // namespace
}  // namespace berth::net
