#include "net/protocol.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace berth::net {
namespace {

NetworkSpec some_network() {
    return {.id = "abc",
            .name = "bridge",
            .bridge = "docker0",
            .subnet = "172.17.0.0/16",
            .gateway = "172.17.0.1",
            .subnet_v6 = "fd01::/64",
            .gateway_v6 = "fd01::1",
            .mtu = 1500,
            .internal = true,
            .icc = false,
            .masquerade = false};
}

Attachment some_attachment() {
    return {.container = "c1",
            .network_id = "abc",
            .interface = "eth1",
            .address = "172.17.0.2/16",
            .gateway = "172.17.0.1",
            .address_v6 = "fd01::2/64",
            .gateway_v6 = "fd01::1",
            .mac = "02:42:ac:11:00:02",
            .default_route = false,
            .pid = 7,
            .names = {"web", "alias"},
            .sysctls = {{"ipv4/conf/eth1/log_martians", "1"}},
            .links = {{"db", "postgres"}},
            .dns = {{"1.1.1.1"}, {"example.org"}, {"ndots:2"}}};
}

PortBinding some_binding() {
    return {Transport::udp, "127.0.0.1", 8000, 8010, "172.17.0.2", "fd01::2", 80};
}

template <typename Kind>
Kind round_trip(Kind request) {
    const NumberedRequest back = decode_request(encode_request({7, std::move(request)}));
    EXPECT_EQ(back.seq, 7);
    return std::get<Kind>(back.request);
}

TEST(Protocol, RequestsRoundTrip) {
    EXPECT_EQ(round_trip(EnsureNetwork{some_network()}).network, some_network());
    EXPECT_EQ(round_trip(RemoveNetwork{"abc"}).id, "abc");
    EXPECT_EQ(round_trip(Attach{some_attachment()}).attachment, some_attachment());
    EXPECT_TRUE(round_trip(Detach{"c1", "abc", true}).remove_interface);
    EXPECT_EQ(round_trip(Publish{{"c1", {some_binding()}}}).ports.bindings[0], some_binding());
    EXPECT_EQ(round_trip(Unpublish{"c1"}).container, "c1");
    EXPECT_EQ(round_trip(Release{"c1"}).container, "c1");
    const Keep keep = round_trip(Keep{{"abc"}, {"c1"}});
    EXPECT_EQ(keep.networks, std::vector<std::string>{"abc"});
    EXPECT_EQ(keep.containers, std::vector<std::string>{"c1"});
    const auto route = round_trip(SetDefaultRoute{"c1", "172.17.0.1", "eth1", "", ""});
    EXPECT_EQ(route.gateway, "172.17.0.1");
    EXPECT_EQ(route.interface, "eth1");
    round_trip(Loopback{});
    round_trip(GetState{});
}

TEST(Protocol, RepliesRoundTrip) {
    EXPECT_FALSE(decode_reply(encode_empty_reply(3)).error);
    EXPECT_EQ(decode_reply(encode_bindings_reply(3, {some_binding()})).bindings[0], some_binding());
    const NetworkState state{{some_network()}, {some_attachment()}, {{"c1", {some_binding()}}}};
    EXPECT_EQ(decode_reply(encode_state_reply(3, state)).state, state);
    EXPECT_EQ(decode_state(encode_state(state)), state);
}

TEST(Protocol, ErrorReplyKeepsKindTextAndErrno) {
    const Reply reply = decode_reply(
        encode_error_reply(9, Error::with_text(ErrorKind::conflict, "port is taken", 98)));
    EXPECT_EQ(reply.seq, 9);
    ASSERT_TRUE(reply.error);
    EXPECT_EQ(reply.error->kind(), ErrorKind::conflict);
    EXPECT_EQ(reply.error->message(), "port is taken");
    EXPECT_EQ(reply.error->errno_value(), 98);
}

TEST(Protocol, RefusesOtherVersionsAndTypes) {
    EXPECT_THROW(decode_request(R"({"v":2,"type":"state","seq":1})"), Error);
    EXPECT_THROW(decode_request(R"({"v":1,"type":"fly","seq":1})"), Error);
    EXPECT_THROW(decode_request("{"), Error);
    EXPECT_EQ(sequence_of(R"({"v":1,"type":"fly","seq":5})"), 5);
    EXPECT_EQ(sequence_of("{"), 0);
}

TEST(Protocol, RefusesPortsOutOfRange) {
    EXPECT_THROW(decode_request(R"({"v":1,"type":"publish","seq":1,"container":"c",
        "bindings":[{"proto":"tcp","host_port":70000}]})"),
                 Error);
    EXPECT_THROW(decode_request(R"({"v":1,"type":"publish","seq":1,"container":"c",
        "bindings":[{"proto":"icmp","host_port":7}]})"),
                 Error);
}

TEST(Protocol, ConfigHasDefaultsBesideTheSocket) {
    const ProcessConfig config = process_config_from({{"socket", "/run/x/network.sock"}});
    EXPECT_EQ(config.state_file, "/run/x/network-state.json");
    EXPECT_EQ(config.tap_mtu, kFastMtu);
    EXPECT_FALSE(config.allow_host_loopback);
    EXPECT_THROW(process_config_from(nlohmann::json::object()), Error);
    EXPECT_EQ(process_config_from(to_json(config)).socket, config.socket);
}

TEST(Protocol, ConfigIsTakenFromTheDaemonsWhole) {
    const ProcessConfig config = process_config_from(
        {{"exec-root", "/run/x"}, {"log-level", "debug"}, {"mtu", 0}, {"ipv6", false}});
    EXPECT_EQ(config.socket, "/run/x/network.sock");
    EXPECT_EQ(config.log_level, "debug");
    EXPECT_EQ(config.tap_mtu, kFastMtu);
}

}  // namespace
}  // namespace berth::net
