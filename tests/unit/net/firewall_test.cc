#include "net/firewall.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::net {
namespace {

using testing::HasSubstr;
using testing::Not;

NetworkSpec network(const char* bridge, const char* subnet) {
    return {.id = bridge, .bridge = bridge, .subnet = subnet};
}

TEST(Ruleset, ReplacesItsOwnTableInOneTransaction) {
    const std::string text = ruleset({}, "tap0");
    EXPECT_TRUE(text.starts_with("add table inet berth\ndelete table inet berth\n"));
    EXPECT_TRUE(text.ends_with("}\n"));
}

TEST(Ruleset, ANetworkReachesTheOutsideAndItself) {
    const std::vector networks{network("docker0", "172.17.0.0/16")};
    const std::string text = ruleset(networks, "tap0");
    EXPECT_THAT(text, HasSubstr("ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade"));
    EXPECT_THAT(text, HasSubstr("iifname \"docker0\" oifname \"tap0\" accept"));
    EXPECT_THAT(text, HasSubstr("iifname \"docker0\" oifname \"docker0\" accept"));
}

TEST(Ruleset, NetworksAreIslands) {
    const std::vector networks{network("docker0", "172.17.0.0/16"),
                               network("br-1", "172.18.0.0/16")};
    const std::string text = ruleset(networks, "tap0");
    EXPECT_THAT(text, HasSubstr("policy drop"));
    EXPECT_THAT(text, Not(HasSubstr("iifname \"docker0\" oifname \"br-1\"")));
}

TEST(Ruleset, InternalNetworkHasNoWayOut) {
    NetworkSpec internal = network("br-1", "172.18.0.0/16");
    internal.internal = true;
    const std::vector networks{internal};
    EXPECT_THAT(ruleset(networks, "tap0"), Not(HasSubstr("tap0")));
    EXPECT_THAT(ruleset(networks, "tap0"), Not(HasSubstr("masquerade")));
}

TEST(Ruleset, BothFamiliesAreMasqueraded) {
    NetworkSpec dual = network("br-1", "172.18.0.0/16");
    dual.subnet_v6 = "fd01::/64";
    const std::vector networks{dual};
    EXPECT_THAT(ruleset(networks, "tap0"), HasSubstr("ip6 saddr fd01::/64"));
}

}  // namespace
}  // namespace berth::net
