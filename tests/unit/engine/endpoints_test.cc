#include "engine/network/endpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::engine {
namespace {

using nlohmann::json;
using testing::ElementsAre;

Network network_of(json body) {
    AddressPlan plan;
    plan.sources = pool_sources({}, "engine");
    return make_network(std::string(64, 'a'), {}, model::network_config_from(body), plan);
}

Network chosen_network(const std::string& name = "net") {
    return network_of(
        {{"Name", name}, {"IPAM", {{"Config", json::array({{{"Subnet", "10.5.0.0/24"}}})}}}});
}

model::ContainerRecord container() {
    model::ContainerRecord record;
    record.id = "0123456789ab" + std::string(52, 'c');
    record.name = "web";
    record.config.hostname = "0123456789ab";
    return record;
}

model::Endpoint endpoint(const std::string& gateway, const std::string& gateway_v6 = "") {
    model::Endpoint e;
    e.endpoint_id = "e" + gateway;
    e.ip_address = "10.0.0.2";
    e.gateway = gateway;
    e.gateway_v6 = gateway_v6;
    return e;
}

std::vector<std::string> order_of(const model::ContainerRecord& record) {
    std::vector<std::string> names;
    for (const NamedEndpoint& entry : ranked(record)) names.push_back(*entry.network);
    return names;
}

TEST(Ranking, NameDecidesAmongEquals) {
    model::ContainerRecord record = container();
    record.endpoints = {{"b", endpoint("1")}, {"a", endpoint("2")}};
    EXPECT_THAT(order_of(record), ElementsAre("a", "b"));
    EXPECT_EQ(gateways_of(record).v4, &record.endpoints.at("a"));
}

TEST(Ranking, ANetworkWithAWayOutComesBeforeAnInternalOne) {
    model::ContainerRecord record = container();
    record.endpoints = {{"a", endpoint("")}, {"b", endpoint("1")}};
    EXPECT_THAT(order_of(record), ElementsAre("b", "a"));
}

TEST(Ranking, BothFamiliesComeBeforeOne) {
    model::ContainerRecord record = container();
    record.endpoints = {{"a", endpoint("1")}, {"b", endpoint("2", "fd00::1")}};
    EXPECT_THAT(order_of(record), ElementsAre("b", "a"));
}

TEST(Ranking, TheGatewayPriorityComesFirst) {
    model::ContainerRecord record = container();
    record.endpoints = {{"a", endpoint("1", "fd00::1")}, {"b", endpoint("2")}};
    record.endpoints.at("b").config.gateway_priority = 1;
    EXPECT_THAT(order_of(record), ElementsAre("b", "a"));
    EXPECT_EQ(gateways_of(record).v4, &record.endpoints.at("b"));
    EXPECT_EQ(gateways_of(record).v6, &record.endpoints.at("a"));
}

TEST(Ranking, InternalNetworksAreNoGateway) {
    model::ContainerRecord record = container();
    record.endpoints = {{"a", endpoint("")}};
    EXPECT_EQ(gateways_of(record).v4, nullptr);
}

TEST(Allocation, GivesAddressPrefixGatewayAndMac) {
    Network network = chosen_network();
    model::Endpoint e;
    allocate_endpoint(network, container(), e);
    EXPECT_EQ(e.ip_address, "10.5.0.2");
    EXPECT_EQ(e.prefix, 24);
    EXPECT_EQ(e.gateway, "10.5.0.1");
    EXPECT_EQ(e.mac_address.size(), 17U);
    EXPECT_EQ(e.network_id, network.id);
}

TEST(Allocation, AStaticAddressIsKeptFromOthersUntilItsRelease) {
    Network network = chosen_network();
    model::Endpoint first;
    first.config.ipv4_address = "10.5.0.9";
    allocate_endpoint(network, container(), first);
    EXPECT_EQ(first.ip_address, "10.5.0.9");
    model::Endpoint second;
    second.config.ipv4_address = "10.5.0.9";
    EXPECT_EQ(failure_text([&] { allocate_endpoint(network, container(), second); }),
              "Address already in use");
    release_endpoint(network, first);
    allocate_endpoint(network, container(), second);
    EXPECT_EQ(second.ip_address, "10.5.0.9");
}

TEST(Allocation, DualStack) {
    Network network = network_of({{"Name", "net"}, {"EnableIPv6", true}});
    model::Endpoint e;
    allocate_endpoint(network, container(), e);
    EXPECT_EQ(e.ip_address, "172.17.0.2");
    EXPECT_EQ(e.prefix_v6, 64);
    EXPECT_EQ(IpAddress::parse(e.ipv6_address).value & 0xffff, 2U);
    EXPECT_EQ(e.gateway_v6, network.pool_v6->gateway().str());
}

TEST(Allocation, AnInternalNetworkHasNoGateway) {
    Network network = network_of({{"Name", "net"}, {"Internal", true}});
    model::Endpoint e;
    allocate_endpoint(network, container(), e);
    EXPECT_EQ(e.gateway, "");
}

TEST(Allocation, TheMacThatWasAskedForIsTaken) {
    Network network = chosen_network();
    model::ContainerRecord record = container();
    record.config.mac_address = "02:00:00:00:00:01";
    record.host_config.network_mode = "net";
    model::Endpoint e;
    allocate_endpoint(network, record, e);
    EXPECT_EQ(e.mac_address, "02:00:00:00:00:01");
    model::Endpoint own;
    own.config.mac_address = "02:00:00:00:00:02";
    allocate_endpoint(network, record, own);
    EXPECT_EQ(own.mac_address, "02:00:00:00:00:02");
}

TEST(StaticAddress, NeedsAChosenSubnetThatHasIt) {
    model::EndpointConfig config;
    config.ipv4_address = "10.6.0.9";
    EXPECT_EQ(failure_text([&] {
                  check_endpoint(network_of({{"Name", "net"}}), config);
              }),
              "invalid endpoint settings:\nuser specified IP address is supported only when "
              "connecting to networks with user configured subnets");
    EXPECT_EQ(failure_text([&] { check_endpoint(chosen_network(), config); }),
              "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address "
              "10.6.0.9");
    EXPECT_EQ(
        failure_text([&] { check_endpoint(make_linkless("id", {}, "host"), config); }),
        "invalid endpoint settings:\n* user specified IP address is supported on user defined "
        "networks only\n* user specified IP address is supported only when connecting to "
        "networks with user configured subnets");
}

TEST(Aliases, AreForUserDefinedNetworks) {
    model::EndpointConfig config;
    config.aliases = {"www"};
    EXPECT_NO_THROW(check_endpoint(chosen_network(), config));
    EXPECT_EQ(
        failure_text([&] { check_endpoint(make_linkless("id", {}, "host"), config); }),
        "invalid endpoint settings:\nnetwork-scoped alias is supported only for containers in "
        "user defined networks");
}

TEST(InterfaceNames, AreTheNextFreeNumber) {
    model::ContainerRecord record = container();
    const Network network = chosen_network();
    record.endpoints["a"].interface = "eth0";
    record.endpoints["c"].interface = "eth2";
    name_interface(network, record, record.endpoints["b"]);
    EXPECT_EQ(record.endpoints["b"].interface, "eth1");
}

TEST(InterfaceNames, CanBeChosenOnce) {
    model::ContainerRecord record = container();
    const Network network = chosen_network();
    for (const char* name : {"a", "b"})
        record.endpoints[name].config.driver_options["com.docker.network.endpoint.ifname"] = "lan";
    name_interface(network, record, record.endpoints["a"]);
    EXPECT_EQ(record.endpoints["a"].interface, "lan");
    EXPECT_THROW(name_interface(network, record, record.endpoints["b"]), Error);
}

TEST(DnsNames, AreNameAliasesShortIdAndHostname) {
    model::ContainerRecord record = container();
    model::Endpoint e;
    e.config.aliases = {"www", "web"};
    EXPECT_THAT(dns_names(record, e), ElementsAre("web", "www", "0123456789ab"));
    record.config.hostname = "other";
    EXPECT_THAT(dns_names(record, e), ElementsAre("web", "www", "0123456789ab", "other"));
}

TEST(Ports, LeadToTheEndpointThatLeadsOutside) {
    model::ContainerRecord record = container();
    record.host_config.port_bindings["80/tcp"] = {{"", "8080"}};
    EXPECT_TRUE(wanted_ports(record, gateways_of(record), "").empty());
    record.endpoints = {{"a", endpoint("")}, {"b", endpoint("1")}};
    record.endpoints["b"].ip_address = "10.0.0.7";
    const auto ports = wanted_ports(record, gateways_of(record), "127.0.0.1");
    ASSERT_EQ(ports.size(), 1U);
    EXPECT_EQ(ports[0].container_ip, "10.0.0.7");
    EXPECT_EQ(ports[0].host_ip, "127.0.0.1");
    EXPECT_EQ(ports[0].host_port, 8080);
}

TEST(Ports, KeepTheirNumbersWhenTheWayOutMoves) {
    model::ContainerRecord record = container();
    record.bound_ports["80/tcp"] = {{"0.0.0.0", "49153"}, {"::", "49153"}};
    record.endpoints = {{"b", endpoint("1")}};
    const auto ports = moved_ports(record, gateways_of(record));
    ASSERT_EQ(ports.size(), 2U);
    EXPECT_EQ(ports[0].host_port, 49153);
    EXPECT_EQ(ports[1].host_ip, "::");
}

}  // namespace
}  // namespace berth::engine
