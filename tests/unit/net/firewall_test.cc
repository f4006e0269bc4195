#include "net/firewall.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace berth::net {
namespace {

using testing::HasSubstr;
using testing::Not;

NetworkSpec network(const char* bridge, const char* subnet) {
    return {.id = bridge, .bridge = bridge, .subnet = subnet};
}

// What a set of the table holds; empty when nothing.
std::string elements(const std::string& text, const std::string& set) {
    const auto start = text.find("set " + set + " {");
    const auto end = text.find("  }\n", start);
    const std::string body = text.substr(start, end - start);
    const auto from = body.find("elements = { ");
    if (from == std::string::npos) return "";
    return body.substr(from + 13, body.find(" }\n", from) - from - 13);
}

TEST(Ruleset, ReplacesItsOwnTableInOneTransaction) {
    const std::string text = ruleset({}, "tap0");
    EXPECT_TRUE(text.starts_with("add table inet berth\ndelete table inet berth\n"));
    EXPECT_TRUE(text.ends_with("}\n"));
}

TEST(Ruleset, ANetworkReachesTheOutsideAndItself) {
    const std::vector networks{network("docker0", "172.17.0.0/16")};
    const std::string text = ruleset(networks, "tap0");
    EXPECT_THAT(elements(text, "masquerade4"), "172.17.0.0/16");
    EXPECT_THAT(elements(text, "uplink"), "\"docker0\"");
    EXPECT_THAT(elements(text, "same"), "\"docker0\" . \"docker0\"");
}

TEST(Ruleset, NetworksAreIslands) {
    const std::vector networks{network("docker0", "172.17.0.0/16"),
                               network("br-1", "172.18.0.0/16")};
    const std::string text = ruleset(networks, "tap0");
    EXPECT_THAT(text, HasSubstr("policy drop"));
    EXPECT_THAT(text, Not(HasSubstr("\"docker0\" . \"br-1\"")));
}

TEST(Ruleset, InternalNetworkHasNoWayOut) {
    NetworkSpec internal = network("br-1", "172.18.0.0/16");
    internal.internal = true;
    const std::vector networks{internal};
    const std::string text = ruleset(networks, "tap0");
    EXPECT_EQ(elements(text, "uplink"), "");
    EXPECT_EQ(elements(text, "masquerade4"), "");
    EXPECT_NE(elements(text, "same"), "");
}

TEST(Ruleset, WithoutMasqueradeTheAddressStays) {
    NetworkSpec plain = network("br-1", "172.18.0.0/16");
    plain.masquerade = false;
    const std::vector networks{plain};
    EXPECT_EQ(elements(ruleset(networks, "tap0"), "masquerade4"), "");
}

TEST(Ruleset, BothFamiliesAreMasqueraded) {
    NetworkSpec dual = network("br-1", "172.18.0.0/16");
    dual.subnet_v6 = "fd01::/64";
    const std::vector networks{dual};
    EXPECT_EQ(elements(ruleset(networks, "tap0"), "masquerade6"), "fd01::/64");
}

TEST(Ruleset, TheNumberOfRulesDoesNotGrowWithTheNetworks) {
    std::vector<NetworkSpec> networks;
    const auto rules = [&] {
        const std::string text = ruleset(networks, "tap0");
        return std::ranges::count(text, '\n');
    };
    networks.push_back(network("br-1", "172.18.0.0/16"));
    const auto with_one = rules();
    networks.push_back(network("br-2", "172.19.0.0/16"));
    EXPECT_EQ(rules(), with_one);
}

}  // namespace
}  // namespace berth::net
