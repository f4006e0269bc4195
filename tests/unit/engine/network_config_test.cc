#include "engine/model/network_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::engine::model {
namespace {

using nlohmann::json;
using testing::HasSubstr;

Error failure_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        return error;
    }
    return Error(ErrorKind::internal, "no error");
}

NetworkConfig config_with(const json& ipam_config) {
    return network_config_from({{"Name", "net"},
                                {"EnableIPv6", true},
                                {"IPAM", {{"Config", json::array({ipam_config})}}}});
}

std::string refusal_of(const json& ipam_config) {
    return failure_of([&] { validate(config_with(ipam_config)); }).message();
}

TEST(NetworkConfig, ComesBackAsItWasSent) {
    const json sent = {
        {"Name", "net"},
        {"Driver", "bridge"},
        {"Scope", "local"},
        {"Internal", true},
        {"Attachable", true},
        {"Ingress", false},
        {"EnableIPv4", true},
        {"EnableIPv6", true},
        {"ConfigOnly", false},
        {"ConfigFrom", {{"Network", ""}}},
        {"IPAM",
         {{"Driver", "default"},
          {"Options", {{"k", "v"}}},
          {"Config", json::array({{{"Subnet", "10.1.0.0/16"},
                                   {"IPRange", "10.1.5.0/24"},
                                   {"Gateway", "10.1.0.254"},
                                   {"AuxiliaryAddresses", {{"router", "10.1.0.3"}}}}})}}},
        {"Options", {{"com.example.some", "thing"}}},
        {"Labels", {{"a", "b"}}}};
    EXPECT_EQ(to_json(network_config_from(sent)), sent);
}

TEST(NetworkConfig, AbsentIpamOptionsStayAbsent) {
    EXPECT_TRUE(to_json(network_config_from({{"Name", "net"}}))["IPAM"]["Options"].is_null());
    const json empty = {{"Name", "net"}, {"IPAM", {{"Options", json::object()}}}};
    EXPECT_EQ(to_json(network_config_from(empty))["IPAM"]["Options"], json::object());
}

TEST(NetworkConfig, KeysAreReadInAnyCase) {
    EXPECT_TRUE(network_config_from({{"name", "net"}, {"internal", true}}).internal);
}

TEST(NetworkConfig, PredefinedNamesAreDenied) {
    for (const char* name : {"bridge", "host", "none", "default"}) {
        const Error error = failure_of([&] { validate(network_config_from({{"Name", name}})); });
        EXPECT_EQ(error.kind(), ErrorKind::denied);
        EXPECT_EQ(error.message(),
                  fmt::format("operation is not permitted on predefined {} network", name));
    }
}

TEST(NetworkConfig, ANameMustNotBeBlankAndHasNoSlash) {
    for (const char* name : {"", "  ", "a/b"})
        EXPECT_EQ(failure_of([&] {
                      validate(network_config_from({{"Name", name}}));
                  }).kind(),
                  ErrorKind::invalid)
            << name;
}

TEST(NetworkConfig, OtherDriversAreRefusedWithAReason) {
    const auto refusal = [](const char* driver) {
        return failure_of([&] {
            validate(network_config_from({{"Name", "net"}, {"Driver", driver}}));
        });
    };
    EXPECT_EQ(refusal("weave").message(), "plugin \"weave\" not found");
    EXPECT_EQ(refusal("weave").kind(), ErrorKind::not_found);
    for (const char* driver : {"macvlan", "ipvlan"}) {
        EXPECT_EQ(refusal(driver).kind(), ErrorKind::not_found);
        EXPECT_THAT(refusal(driver).message(), HasSubstr("rootless"));
    }
    EXPECT_EQ(refusal("overlay").kind(), ErrorKind::denied);
    EXPECT_THAT(refusal("overlay").message(), HasSubstr("not a swarm manager"));
    EXPECT_EQ(refusal("host").message(), "only one instance of \"host\" network is allowed");
}

TEST(NetworkConfig, SwarmNetworksAreRefused) {
    for (const json& extra : {json{{"Ingress", true}}, json{{"Scope", "swarm"}}}) {
        json body = {{"Name", "net"}};
        body.update(extra);
        EXPECT_EQ(failure_of([&] { validate(network_config_from(body)); }).kind(),
                  ErrorKind::denied);
    }
}

TEST(Ipam, FaultsAreNamedInDockersWords) {
    EXPECT_EQ(refusal_of({{"Subnet", "10.0.0.0"}}),
              "invalid network config:\ninvalid subnet 10.0.0.0: invalid CIDR block notation");
    EXPECT_THAT(refusal_of({{"Subnet", "10.0.0.5/24"}}), HasSubstr("it should be 10.0.0.0/24"));
    EXPECT_THAT(refusal_of({{"Subnet", "10.0.0.0/24"}, {"Gateway", "10.0.1.1"}}),
                HasSubstr("parent subnet 10.0.0.0/24 doesn't contain this address"));
    EXPECT_THAT(refusal_of({{"Subnet", "10.0.0.0/24"}, {"Gateway", "x"}}),
                HasSubstr("invalid gateway x: invalid address"));
    EXPECT_THAT(refusal_of({{"Subnet", "10.0.0.0/24"}, {"Gateway", "fd00::1"}}),
                HasSubstr("parent subnet is an IPv4 block"));
    EXPECT_THAT(refusal_of({{"Subnet", "10.0.0.0/24"}, {"IPRange", "10.0.0.0/16"}}),
                HasSubstr("CIDR block is bigger than its parent subnet 10.0.0.0/24"));
    EXPECT_THAT(refusal_of({{"Subnet", "10.0.0.0/24"}, {"IPRange", "10.0.1.0/25"}}),
                HasSubstr("doesn't contain ip-range"));
    EXPECT_THAT(refusal_of({{"Subnet", "fd00::/64"}, {"AuxiliaryAddresses", {{"r", "fd01::1"}}}}),
                HasSubstr("invalid auxiliary address r"));
}

TEST(Ipam, AllFaultsAreListed) {
    EXPECT_EQ(refusal_of({{"Subnet", "10.0.0.5/24"}, {"Gateway", "x"}}),
              "invalid network config:\n* invalid subnet 10.0.0.5/24: it should be 10.0.0.0/24\n"
              "* invalid gateway x: invalid address");
}

TEST(Ipam, OneSubnetAFamily) {
    json body = {
        {"Name", "net"},
        {"EnableIPv6", true},
        {"IPAM",
         {{"Config", json::array({{{"Subnet", "10.0.0.0/24"}}, {{"Subnet", "fd00::/64"}}})}}}};
    EXPECT_NO_THROW(validate(network_config_from(body)));
    body["IPAM"]["Config"].push_back({{"Subnet", "10.0.1.0/24"}});
    EXPECT_EQ(failure_of([&] { validate(network_config_from(body)); }).message(),
              "bridge driver doesn't support multiple subnets");
}

TEST(BridgeOptions, AreReadAndUnknownOnesMeanNothing) {
    const BridgeOptions options =
        bridge_options_from({{"com.docker.network.bridge.name", "br-mine"},
                             {"com.docker.network.bridge.enable_icc", "false"},
                             {"com.docker.network.bridge.enable_ip_masquerade", "0"},
                             {"com.docker.network.bridge.host_binding_ipv4", "127.0.0.1"},
                             {"com.docker.network.driver.mtu", "1400"},
                             {"com.docker.network.container_iface_prefix", "net"},
                             {"com.example.other", "x"}});
    EXPECT_EQ(options, (BridgeOptions{.bridge = "br-mine",
                                      .publish_address = "127.0.0.1",
                                      .interface_prefix = "net",
                                      .icc = false,
                                      .masquerade = false,
                                      .mtu = 1400}));
}

TEST(BridgeOptions, BadValuesAreRefused) {
    const std::pair<const char*, const char*> bad[] = {
        {"com.docker.network.bridge.name", "a/b"},
        {"com.docker.network.bridge.name", "sixteen-letters-"},
        {"com.docker.network.bridge.name", "tap0"},
        {"com.docker.network.bridge.enable_icc", "maybe"},
        {"com.docker.network.driver.mtu", "12"},
        {"com.docker.network.bridge.host_binding_ipv4", "here"},
        {"com.docker.network.bridge.gateway_mode_ipv4", "routed"}};
    for (const auto& [key, value] : bad)
        EXPECT_THROW(bridge_options_from({{key, value}}), Error) << key;
}

TEST(BridgeOptions, IsolatedIsForInternalNetworksOnly) {
    json body = {{"Name", "net"},
                 {"Options", {{"com.docker.network.bridge.gateway_mode_ipv4", "isolated"}}}};
    EXPECT_THROW(validate(network_config_from(body)), Error);
    body["Internal"] = true;
    EXPECT_NO_THROW(validate(network_config_from(body)));
}

}  // namespace
}  // namespace berth::engine::model
