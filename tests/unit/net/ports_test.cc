#include "net/ports.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::net {
namespace {

HostPort tcp(const char* address, std::uint16_t port) {
    return {Transport::tcp, IpAddress::parse(address), port};
}

PortTable table() { return PortTable({32768, 32770}); }

TEST(PortTable, WildcardConflictsWithEachAddressOfItsFamily) {
    PortTable ports = table();
    ports.take(tcp("0.0.0.0", 80));
    EXPECT_TRUE(ports.is_taken(tcp("127.0.0.1", 80)));
    EXPECT_FALSE(ports.is_taken(tcp("::", 80)));
    EXPECT_FALSE(ports.is_taken(tcp("127.0.0.1", 81)));
    EXPECT_FALSE(ports.is_taken({Transport::udp, IpAddress::parse("127.0.0.1"), 80}));
}

TEST(PortTable, DifferentAddressesShareANumber) {
    PortTable ports = table();
    ports.take(tcp("127.0.0.1", 80));
    EXPECT_FALSE(ports.is_taken(tcp("127.0.0.2", 80)));
    EXPECT_TRUE(ports.is_taken(tcp("0.0.0.0", 80)));
}

TEST(PortTable, ConflictHasDockersText) {
    PortTable ports = table();
    ports.take(tcp("0.0.0.0", 80));
    ports.take(tcp("::", 80));
    try {
        ports.check_free(tcp("0.0.0.0", 80));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "Bind for 0.0.0.0:80 failed: port is already allocated");
    }
    EXPECT_THROW(ports.check_free(tcp("::", 80)), Error);
    ports.release(tcp("0.0.0.0", 80));
    ports.check_free(tcp("0.0.0.0", 80));
}

TEST(PortTable, EphemeralSearchGoesRound) {
    PortTable ports = table();
    EXPECT_EQ(ports.candidates({}), (std::vector<std::uint16_t>{32768, 32769, 32770}));
    ports.advance_past(32768);
    EXPECT_EQ(ports.candidates({}), (std::vector<std::uint16_t>{32769, 32770, 32768}));
    ports.advance_past(32770);
    EXPECT_EQ(ports.candidates({}).front(), 32768);
}

TEST(PortTable, RangeIsTriedInOrder) {
    const PortBinding binding{.host_port = 8000, .host_port_end = 8002};
    EXPECT_EQ(table().candidates(binding), (std::vector<std::uint16_t>{8000, 8001, 8002}));
    EXPECT_EQ(table().candidates({.host_port = 65535}), (std::vector<std::uint16_t>{65535}));
}

TEST(Ports, LocalPortRangeIsParsed) {
    EXPECT_EQ(parse_port_range("32768\t60999\n").last, 60999);
    EXPECT_EQ(parse_port_range("nonsense").first, 49153);
    EXPECT_EQ(parse_port_range("9 5").first, 49153);
}

TEST(Ports, EmptyHostAddressIsBothFamilies) {
    EXPECT_EQ(host_addresses({}).size(), 2U);
    EXPECT_EQ(host_addresses({.host_ip = "::1"}).size(), 1U);
    EXPECT_EQ(binding_text(IpAddress::parse("::"), 80,
                           {.container_ip = "172.17.0.2", .container_port = 8080}),
              "[::]:80:172.17.0.2:8080/tcp");
}

}  // namespace
}  // namespace berth::net
