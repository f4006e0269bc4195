// Outgoing TCP of a container through the gate and the splice pump: what connect(2) says, and what
// passes once it stands, beside a remote machine of its own.
#include <sched.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "base/file.h"
#include "egress_world.h"
#include "linux/socket_address.h"
#include "net/netlink.h"

namespace berth::net {
namespace {

class Egress : public EgressWorld {};

int error_of_connect(const std::string& address, std::uint16_t port) {
    return connect_to(Transport::tcp, address, port).error;
}

// The errno of a connect that may last a while, in seconds.
int error_within(int seconds, const std::string& address, std::uint16_t port) {
    const linux_os::SocketAddress target{IpAddress::parse(address), port};
    const UniqueFd fd{::socket(target.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const timeval limit{seconds, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return ::connect(fd.get(), target.get(), target.length()) < 0 ? errno : 0;
}

// The host's own SYN is on its way: a socket of the host in SYN_SENT, which is 02.
bool host_waits_for_an_answer() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
    while (read_file("/proc/self/net/tcp").find(":0051 02 ") == std::string::npos) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::yield();
    }
    return true;
}

TEST_F(Egress, ServerSeesTheHostsAddress) {
    const UniqueFd server = listen_remotely(kRemoteAddress);
    const Container box = attached_container("c1", 2);
    Child inside = box.run([&] { return error_of_connect(kRemoteAddress, port_of(server)); });
    linux_os::SocketAddress peer;
    socklen_t length = linux_os::SocketAddress::capacity();
    const UniqueFd connection{::accept(server.get(), peer.get(), &length)};
    EXPECT_EQ(peer.address().str(), kHostAddress);
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Egress, ContainerSeesTheAddressItConnectedTo) {
    const UniqueFd server = listen_remotely(kRemoteAddress);
    const Container box = attached_container("c1", 2);
    Child inside = box.run([&] {
        const Connection made = connect_to(Transport::tcp, kRemoteAddress, port_of(server));
        linux_os::SocketAddress peer;
        socklen_t length = linux_os::SocketAddress::capacity();
        ::getpeername(made.socket.get(), peer.get(), &length);
        return peer.address().str() == kRemoteAddress && peer.port() == port_of(server) ? 0 : 1;
    });
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Egress, Ipv6Passes) {
    const UniqueFd server = listen_remotely(kRemoteAddress6);
    const Container box = dual_stack_container("c1", 2);
    Child inside = box.run([&] {
        const Connection made = connect_to(Transport::tcp, kRemoteAddress6, port_of(server));
        return made.socket && receive_all(made.socket) == "hello" ? 0 : 1;
    });
    UniqueFd connection = accept_one(server);
    EXPECT_TRUE(send_text(connection, "hello"));
    connection.reset();
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Egress, RefusedIsRefusedAtConnect) {
    const Container box = dual_stack_container("c1", 2);
    EXPECT_EQ(box.run([] { return error_of_connect(kRemoteAddress, 9); }).wait(), ECONNREFUSED);
    EXPECT_EQ(box.run([] { return error_of_connect(kRemoteAddress6, 9); }).wait(), ECONNREFUSED);
}

TEST_F(Egress, NetworkWithoutRouteIsUnreachable) {
    const Container box = dual_stack_container("c1", 2);
    EXPECT_EQ(box.run([] { return error_of_connect("203.0.113.1", 80); }).wait(), ENETUNREACH);
    EXPECT_EQ(box.run([] { return error_of_connect("2001:db8:1::1", 80); }).wait(), ENETUNREACH);
}

TEST_F(Egress, SilentNeighbourIsAnUnreachableHost) {
    const Container box = dual_stack_container("c1", 2);
    // The host itself waits for a neighbour for some seconds.
    Child v4 = box.run([] { return error_within(9, "192.0.2.77", 80); });
    Child v6 = box.run([] { return error_within(9, "2001:db8::77", 80); });
    EXPECT_EQ(v4.wait(), EHOSTUNREACH);
    EXPECT_EQ(v6.wait(), EHOSTUNREACH);
}

TEST_F(Egress, IcmpOfARouterPasses) {
    const Container box = dual_stack_container("c1", 2);
    set_remote_firewall(
        "tcp dport 81 reject with icmp type net-unreachable\n"
        "    tcp dport 82 meta nfproto ipv6 reject with icmpv6 type admin-prohibited");
    // While connect(2) holds the socket the kernel keeps an ICMP error until the SYN comes again.
    Child net = box.run([] { return error_within(9, kRemoteAddress, 81); });
    Child admin = box.run([] { return error_within(9, kRemoteAddress6, 82); });
    EXPECT_EQ(net.wait(), ENETUNREACH);
    EXPECT_EQ(admin.wait(), EACCES);
}

TEST_F(Egress, FilteredDestinationIsNotAccepted) {
    set_remote_firewall("tcp dport 81 drop");
    const Container box = attached_container("c1", 2);
    // What SO_SNDTIMEO gives for a connection that is still being made.
    EXPECT_EQ(box.run([] { return error_within(2, kRemoteAddress, 81); }).wait(), EINPROGRESS);
}

TEST_F(Egress, RetransmittedSynConnectsOnceThePathOpens) {
    const UniqueFd server = listen_remotely(kRemoteAddress, 81);
    set_remote_firewall("tcp dport 81 drop");
    const Container box = attached_container("c1", 2);
    Child inside = box.run([] { return error_within(9, kRemoteAddress, 81); });
    ASSERT_TRUE(host_waits_for_an_answer());
    set_remote_firewall("accept");
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Egress, LoopbackAndLinkLocalAreUnreachable) {
    const Container box = attached_container("c1", 2);
    EXPECT_EQ(box.run([] { return error_of_connect("169.254.169.254", 80); }).wait(), ENETUNREACH);
    const UniqueFd server = listen_tcp("127.0.0.1", 0);
    EXPECT_NE(box.run([&] { return error_of_connect("10.0.2.2", port_of(server)); }).wait(), 0);
}

TEST_F(Egress, HostsOwnAddressIsLegitimate) {
    const UniqueFd server = listen_tcp(kHostAddress, 0);
    const Container box = attached_container("c1", 2);
    EXPECT_EQ(box.run([&] { return error_of_connect(kHostAddress, port_of(server)); }).wait(), 0);
}

TEST_F(Egress, ListenersOfTheGateAreNotReachable) {
    const Container box = attached_container("c1", 2);
    EXPECT_EQ(box.run([] { return error_of_connect("172.17.0.1", 9999); }).wait(), ECONNREFUSED);
}

TEST_F(Egress, InternalNetworkHasNone) {
    NetworkSpec network = default_network();
    network.internal = true;
    ensure(network);
    const Container box = container("c1");
    client().attach(attachment("c1", 2), box.network_namespace());
    const UniqueFd server = listen_remotely(kRemoteAddress);
    EXPECT_EQ(box.run([&] { return error_within(1, kRemoteAddress, port_of(server)); }).wait(),
              EINPROGRESS);
}

TEST_F(Egress, TheHostItselfIsReachedAtItsAlias) {
    const Container box = dual_stack_container("c1", 2);
    const UniqueFd outer = listen_tcp("0.0.0.0", 0), inner = listen_tcp("127.0.0.1", 0);
    const UniqueFd outer6 = listen_tcp("::", 0);
    EXPECT_EQ(box.run([&] { return error_of_connect("10.0.2.2", port_of(outer)); }).wait(), 0);
    EXPECT_EQ(box.run([&] { return error_of_connect("fd00::2", port_of(outer6)); }).wait(), 0);
    EXPECT_EQ(box.run([&] { return error_of_connect("10.0.2.2", port_of(inner)); }).wait(),
              ECONNREFUSED);
}

TEST_F(Egress, NetworkThatTheHostJoinsLaterIsReached) {
    const Container box = dual_stack_container("c1", 2);
    EXPECT_EQ(box.run([] { return error_of_connect("198.51.100.7", 9); }).wait(), ENETUNREACH);
    EXPECT_EQ(box.run([] { return error_of_connect("2001:db8:2::7", 9); }).wait(), ENETUNREACH);
    NetlinkBatch addresses;
    const unsigned index = link_index("host0");
    addresses.add_address(index, Subnet::parse("198.51.100.7/24"), IfExists::accept);
    addresses.add_address(index, Subnet::parse("2001:db8:2::7/64"), IfExists::accept);
    addresses.run();
    EXPECT_EQ(box.run([] { return error_of_connect("198.51.100.7", 9); }).wait(), ECONNREFUSED);
    Child inside = box.run([] {
        // A new IPv6 address is of use when no neighbour claimed it for a second.
        const auto deadline =
            std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
        int error = 0;
        do {
            error = error_of_connect("2001:db8:2::7", 9);
        } while (error != ECONNREFUSED && std::chrono::steady_clock::now() < deadline);
        return error;
    });
    EXPECT_EQ(inside.wait(), ECONNREFUSED);
}

TEST_F(Egress, WithoutAPartOfItLibslirpTakesOverAndTheStateSaysWhy) {
    const Container box = attached_container("c1", 2);
    crash_network();
    // The gate cannot listen; that stands for any part that the kernel refuses.
    const Child squatter = occupy("127.0.0.1", 9999);
    start_network();
    const std::vector<std::string> warnings = client().state().warnings;
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings.front().find("libslirp"), std::string::npos);
    const UniqueFd server = listen_tcp(kHostAddress, 0);
    EXPECT_EQ(box.run([&] { return error_of_connect(kHostAddress, port_of(server)); }).wait(), 0);
}

TEST_F(Egress, WithoutIpv6ListenersLibslirpCarriesIpv6AndTheGateTheRest) {
    const Container box = dual_stack_container("c1", 2);
    crash_network();
    const Child squatter = occupy("::1", 9999);
    start_network();
    const std::vector<std::string> warnings = client().state().warnings;
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings.front().find("IPv6"), std::string::npos);
    const UniqueFd server6 = listen_tcp(kHostAddress6, 0);
    EXPECT_EQ(box.run([&] { return error_within(5, kHostAddress6, port_of(server6)); }).wait(), 0);
    EXPECT_EQ(box.run([] { return error_of_connect(kRemoteAddress, 9); }).wait(), ECONNREFUSED);
}

TEST_F(Egress, OptionTurnsItOffAndLibslirpTakesOver) {
    const Container box = attached_container("c1", 2);
    crash_network();
    config_.spliced_egress = false;
    start_network();
    const UniqueFd server = listen_tcp(kHostAddress, 0);
    EXPECT_TRUE(client().state().warnings.empty());
    EXPECT_EQ(box.run([&] { return error_of_connect(kHostAddress, port_of(server)); }).wait(), 0);
}

}  // namespace
}  // namespace berth::net
