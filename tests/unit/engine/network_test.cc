#include "engine/network/network.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::engine {
namespace {

using nlohmann::json;

const std::string kId(64, 'a');

AddressPlan plan_with(std::vector<Subnet> used, std::vector<Subnet> host = {}) {
    return {std::move(used), std::move(host), pool_sources({}, "engine")};
}

Network made(json body, const AddressPlan& plan) {
    body["Name"] = "net";
    return make_network(kId, Timestamp{7}, model::network_config_from(body), plan);
}

json ipam(json subnet) { return {{"Config", json::array({std::move(subnet)})}}; }

TEST(NewNetwork, TakesTheNextSubnetAndHasABridgeNamedAfterItsId) {
    const Network network = made({}, plan_with({Subnet::parse("172.17.0.0/16")}));
    EXPECT_EQ(network.pool->subnet().str(), "172.18.0.0/16");
    EXPECT_EQ(network.gateway, "172.18.0.1");
    EXPECT_EQ(network.bridge, "br-aaaaaaaaaaaa");
}

TEST(NewNetwork, KeepsOffTheHostsSubnets) {
    const Network network = made({}, plan_with({}, {Subnet::parse("172.17.4.0/24")}));
    EXPECT_EQ(network.pool->subnet().str(), "172.18.0.0/16");
}

TEST(NewNetwork, AChosenSubnetMustNotOverlapAnotherNetwork) {
    const json body = {{"IPAM", ipam({{"Subnet", "10.1.0.0/16"}})}};
    EXPECT_EQ(made(body, plan_with({})).pool->subnet().str(), "10.1.0.0/16");
    try {
        made(body, plan_with({Subnet::parse("10.1.2.0/24")}));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::denied);
        EXPECT_EQ(error.message(),
                  "invalid pool request: Pool overlaps with other one on this address space");
    }
}

TEST(NewNetwork, RangeGatewayAndAuxiliaryAddressesHold) {
    Network network = made({{"IPAM", ipam({{"Subnet", "10.1.0.0/24"},
                                           {"IPRange", "10.1.0.16/29"},
                                           {"Gateway", "10.1.0.9"},
                                           {"AuxiliaryAddresses", {{"r", "10.1.0.17"}}}})}},
                           plan_with({}));
    EXPECT_EQ(network.gateway, "10.1.0.9");
    EXPECT_EQ(network.pool->allocate().str(), "10.1.0.16");
    EXPECT_EQ(network.pool->allocate().str(), "10.1.0.18");
}

TEST(NewNetwork, Ipv6WithoutASubnetGetsAUniqueLocalOne) {
    const Network network = made({{"EnableIPv6", true}}, plan_with({}));
    EXPECT_EQ(network.pool_v6->subnet().prefix, 64);
    EXPECT_TRUE(Subnet::parse("fd00::/8").contains(network.pool_v6->subnet().address));
}

TEST(NewNetwork, CanDoWithoutIpv4) {
    const Network network = made({{"EnableIPv4", false}, {"EnableIPv6", true}}, plan_with({}));
    EXPECT_FALSE(network.pool);
    EXPECT_TRUE(network.pool_v6);
    EXPECT_EQ(spec_of(network).subnet, "");
}

TEST(NewNetwork, AConfigurationNetworkHasNoBridge) {
    EXPECT_FALSE(made({{"ConfigOnly", true}}, plan_with({})).is_bridge());
}

TEST(NetworkRecord, RoundTrips) {
    const Network network =
        made({{"EnableIPv6", true},
              {"Internal", true},
              {"Labels", {{"a", "b"}}},
              {"IPAM", ipam({{"Subnet", "10.1.0.0/24"}, {"Gateway", "10.1.0.9"}})}},
             plan_with({}));
    const Network back = network_from_record(to_record(network));
    EXPECT_EQ(back.id, network.id);
    EXPECT_EQ(back.created.ns, 7);
    EXPECT_EQ(back.config, network.config);
    EXPECT_EQ(back.bridge, network.bridge);
    EXPECT_EQ(back.pool->gateway(), network.pool->gateway());
    EXPECT_EQ(back.pool_v6->subnet(), network.pool_v6->subnet());
    EXPECT_EQ(spec_of(back), spec_of(network));
}

TEST(DefaultBridge, KeepsTheSubnetOfItsFirstStart) {
    const Settings settings;
    const AddressPlan plan = plan_with({}, {Subnet::parse("172.17.0.0/16")});
    EXPECT_EQ(make_default_bridge(kId, {}, settings, "", plan).pool->subnet().str(),
              "172.18.0.0/16");
    EXPECT_EQ(make_default_bridge(kId, {}, settings, "172.17.0.0/16", plan).gateway, "172.17.0.1");
}

TEST(DefaultBridge, TheConfiguredAddressComesFirst) {
    Settings settings;
    settings.bridge_address = "10.9.0.5/24";
    const Network bridge = make_default_bridge(kId, {}, settings, "172.17.0.0/16", plan_with({}));
    EXPECT_EQ(bridge.pool->subnet().str(), "10.9.0.0/24");
    EXPECT_EQ(bridge.gateway, "10.9.0.5");
    EXPECT_EQ(bridge.bridge, "docker0");
}

TEST(DefaultBridge, AConfiguredGatewayIsNeverGivenOut) {
    Settings settings;
    settings.bridge_address = "10.9.0.1/24";
    settings.default_gateway = "10.9.0.2";
    Network bridge = make_default_bridge(kId, {}, settings, "", plan_with({}));
    EXPECT_EQ(bridge.gateway, "10.9.0.2");
    EXPECT_EQ(bridge.pool->allocate().str(), "10.9.0.3");
    settings.default_gateway = "10.8.0.2";
    EXPECT_THROW(make_default_bridge(kId, {}, settings, "", plan_with({})), Error);
}

}  // namespace
}  // namespace berth::engine
