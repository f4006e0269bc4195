#include "engine/model/links.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/containers/files.h"

namespace berth::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

model::ContainerRecord database() {
    model::ContainerRecord record;
    record.id = std::string(64, 'd');
    record.name = "my-db";
    record.config.hostname = "dddddddddddd";
    record.config.exposed_ports = {"8080/tcp", "80/udp", "80/tcp"};
    record.config.env = {"USER=me", "PATH=/bin", "HOME=/root", "EMPTY"};
    record.endpoints["bridge"].ip_address = "172.17.0.5";
    return record;
}

model::ContainerRecord on_network(const std::string& name, const std::string& address) {
    model::ContainerRecord record;
    record.config.hostname = "web";
    record.endpoints[name].endpoint_id = "e";
    record.endpoints[name].ip_address = address;
    record.endpoints[name].gateway = "10.1.0.1";
    return record;
}

TEST(Link, TheAliasDefaultsToTheName) {
    EXPECT_EQ(model::split_link("db"), std::pair(std::string("db"), std::string("db")));
    EXPECT_EQ(model::split_link("db:x"), std::pair(std::string("db"), std::string("x")));
}

TEST(Link, VariablesTellPortsNameAndEnvironment) {
    const auto variables = model::link_variables("web", model::link_to(database(), "the-db"));
    EXPECT_THAT(
        variables,
        ElementsAre("THE_DB_PORT=tcp://172.17.0.5:80", "THE_DB_PORT_80_TCP=tcp://172.17.0.5:80",
                    "THE_DB_PORT_80_TCP_ADDR=172.17.0.5", "THE_DB_PORT_80_TCP_PORT=80",
                    "THE_DB_PORT_80_TCP_PROTO=tcp", "THE_DB_PORT_80_UDP=udp://172.17.0.5:80",
                    "THE_DB_PORT_80_UDP_ADDR=172.17.0.5", "THE_DB_PORT_80_UDP_PORT=80",
                    "THE_DB_PORT_80_UDP_PROTO=udp", "THE_DB_PORT_8080_TCP=tcp://172.17.0.5:8080",
                    "THE_DB_PORT_8080_TCP_ADDR=172.17.0.5", "THE_DB_PORT_8080_TCP_PORT=8080",
                    "THE_DB_PORT_8080_TCP_PROTO=tcp", "THE_DB_NAME=/web/the-db",
                    "THE_DB_ENV_USER=me"));
}

TEST(Link, HostsNameTheLinkedContainer) {
    const std::string text =
        hosts_text(on_network("bridge", "172.17.0.2"), {}, {model::link_to(database(), "db")});
    EXPECT_THAT(text, HasSubstr("172.17.0.5\tdb dddddddddddd my-db\n"));
    EXPECT_THAT(text, HasSubstr("172.17.0.2\tweb\n"));
}

TEST(Link, AMovedContainersLineIsReplaced) {
    model::Link link = model::link_to(database(), "db");
    const std::string file = "127.0.0.1\tlocalhost\n172.17.0.5\tdb dddddddddddd my-db\n";
    link.address = "172.17.0.9";
    EXPECT_EQ(with_moved_link(file, link),
              "127.0.0.1\tlocalhost\n172.17.0.9\tdb dddddddddddd my-db\n");
}

TEST(Hosts, BothFamiliesAreNamed) {
    model::ContainerRecord record = on_network("net", "10.1.0.2");
    record.endpoints["net"].ipv6_address = "fd00::2";
    EXPECT_THAT(hosts_text(record, {}), HasSubstr("10.1.0.2\tweb\nfd00::2\tweb\n"));
}

TEST(ResolvConf, UserDefinedNetworksHaveTheEmbeddedServerOnly) {
    model::ContainerRecord record = on_network("net", "10.1.0.2");
    const std::string host = "nameserver 192.0.2.1\nsearch example.org\noptions edns0\n";
    EXPECT_EQ(resolv_conf_text(record, {}, host),
              "nameserver 127.0.0.11\nsearch example.org\noptions edns0 ndots:0\n");
    record.host_config.dns = {"1.1.1.1"};
    record.host_config.dns_options = {"ndots:2"};
    EXPECT_EQ(resolv_conf_text(record, {}, host),
              "nameserver 127.0.0.11\nsearch example.org\noptions ndots:2\n");
}

TEST(ResolvConf, TheDefaultBridgeHasTheHostsServers) {
    EXPECT_THAT(resolv_conf_text(on_network("bridge", "172.17.0.2"), {}, "nameserver 192.0.2.1\n"),
                Not(HasSubstr("127.0.0.11")));
}

TEST(ChangedFile, OnlyTheDifferenceIsApplied) {
    EXPECT_EQ(with_changes("a\nb\n", "a\nb\n", "a\nc\n"), "a\nc\n");
    EXPECT_EQ(with_changes("a\nmine\nb\n", "a\nb\n", "a\nc\n"), "a\nmine\nc\n");
    EXPECT_EQ(with_changes("mine\n", "a\nb\n", "a\nb\n"), "mine\n");
}

}  // namespace
}  // namespace berth::engine
