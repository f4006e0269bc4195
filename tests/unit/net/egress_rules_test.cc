// The text of the rules of outgoing TCP, and which destinations the gate itself refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "net/egress_path.h"

namespace berth::net {
namespace {

using testing::HasSubstr;
using testing::Not;

NetworkSpec network(const std::string& bridge) {
    return {.id = bridge, .name = bridge, .bridge = bridge, .subnet = "172.20.0.0/16"};
}

TEST(EgressRules, NameTheBridgesAndKeepContainersOut) {
    const NetworkSpec one = network("br-one");
    const std::string text = egress_ruleset(std::span(&one, 1), AddressFamilies::both);
    EXPECT_THAT(text, HasSubstr("set gated { type ifname; elements = { \"br-one\" }; }"));
    EXPECT_THAT(text, HasSubstr("172.20.0.0/16"));
    EXPECT_THAT(text, HasSubstr("tproxy ip6 to [::1]:9998"));
}

TEST(EgressRules, InternalAndUnmasqueradedNetworksAreNotGated) {
    NetworkSpec inner = network("br-inner");
    inner.internal = true;
    NetworkSpec routed = network("br-routed");
    routed.masquerade = false;
    EXPECT_FALSE(is_gated(inner));
    EXPECT_FALSE(is_gated(routed));
    const std::string text = egress_ruleset(std::span(&inner, 1), AddressFamilies::both);
    EXPECT_THAT(text, Not(HasSubstr("br-inner")));
    EXPECT_THAT(text, HasSubstr("172.20.0.0/16"));
}

TEST(EgressRules, WithoutIpv6NothingIsRedirectedThere) {
    const std::string text = egress_ruleset({}, AddressFamilies::v4);
    EXPECT_THAT(text, Not(HasSubstr("tproxy ip6")));
    EXPECT_THAT(text, HasSubstr("meta nfproto ipv6 accept"));
}

// What libslirp carries instead is masqueraded, which needs tracking.
TEST(EgressRules, WithoutIpv6ItsConnectionsStayTracked) {
    const std::string text = egress_ruleset({}, AddressFamilies::v4);
    const std::size_t untracked = text.find("meta l4proto 6 notrack");
    EXPECT_LT(text.find("meta nfproto ipv6 accept"), untracked);
}

TEST(EgressRules, OpeningSynAsksTheGateBeforeAnySocketIsLookedUp) {
    const std::string text = egress_ruleset({}, AddressFamilies::both);
    EXPECT_LT(text.find("== syn meta mark set 0x98"), text.find("tproxy ip to 127.0.0.1:9998"));
}

TEST(EgressPolicy, LoopbackAndLinkLocalAreRefused) {
    const auto refusal = [](const char* address) { return refusal_of(IpAddress::parse(address)); };
    EXPECT_EQ(refusal("127.0.0.53"), ECONNREFUSED);
    EXPECT_EQ(refusal("::1"), ECONNREFUSED);
    EXPECT_EQ(refusal("0.0.0.0"), ECONNREFUSED);
    EXPECT_EQ(refusal("169.254.169.254"), ENETUNREACH);
    EXPECT_EQ(refusal("fe80::1"), ENETUNREACH);
    EXPECT_EQ(refusal("::ffff:127.0.0.1"), ENETUNREACH);
    EXPECT_EQ(refusal("192.0.2.1"), 0);
    EXPECT_EQ(refusal("2001:db8::1"), 0);
}

}  // namespace
}  // namespace berth::net
