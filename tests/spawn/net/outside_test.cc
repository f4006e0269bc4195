// What a container reaches: the outside through libslirp, other containers on its bridge, and
// what it must not reach.
#include <sched.h>
#include <sys/socket.h>

#include "linux/socket_address.h"
#include "network_world.h"

namespace berth::net {
namespace {

class Outside : public NetworkWorld {};

// Connects and expects the greeting of the server.
int expect_greeting(const std::string& address, std::uint16_t port) {
    const Connection to_server = connect_to(Transport::tcp, address, port);
    if (!to_server.socket) return to_server.error;
    return receive_all(to_server.socket) == "hello" ? 0 : 98;
}

TEST_F(Outside, TcpReachesTheHostsAddress) {
    const UniqueFd server = listen_tcp(kHostAddress, 0);
    const Container box = attached_container("c1", 2);
    Child inside = box.run([&] { return expect_greeting(kHostAddress, port_of(server)); });
    UniqueFd connection = accept_one(server);
    EXPECT_TRUE(send_text(connection, "hello"));
    connection.reset();
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Outside, RefusedConnectionIsRefused) {
    const Container box = attached_container("c1", 2);
    EXPECT_EQ(box.run([] { return connect_to(Transport::tcp, kHostAddress, 9).error; }).wait(),
              ECONNREFUSED);
}

TEST_F(Outside, UdpReachesTheHostsAddress) {
    const UniqueFd server = bind_udp(kHostAddress, 0);
    const Container box = attached_container("c1", 2);
    Child inside = box.run([&] {
        const Connection to_server = connect_to(Transport::udp, kHostAddress, port_of(server));
        send_text(to_server.socket, "ping");
        return receive(to_server.socket) == "pong" ? 0 : 1;
    });
    linux_os::SocketAddress sender;
    socklen_t length = linux_os::SocketAddress::capacity();
    char buffer[16];
    EXPECT_EQ(::recvfrom(server.get(), buffer, sizeof buffer, 0, sender.get(), &length), 4);
    ::sendto(server.get(), "pong", 4, 0, sender.get(), length);
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Outside, NameServerForwardsToTheHostsResolver) {
    const UniqueFd resolver = bind_udp(kHostAddress, 53);
    const Container box = attached_container("c1", 2);
    Child inside = box.run([] {
        const Connection query = connect_to(Transport::udp, "10.0.2.3", 53);
        send_text(query.socket, "who is example.org?");
        return receive(query.socket) == "nobody" ? 0 : 1;
    });
    linux_os::SocketAddress sender;
    socklen_t length = linux_os::SocketAddress::capacity();
    char buffer[64];
    EXPECT_EQ(::recvfrom(resolver.get(), buffer, sizeof buffer, 0, sender.get(), &length), 19);
    ::sendto(resolver.get(), "nobody", 6, 0, sender.get(), length);
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Outside, HostLoopbackIsUnreachable) {
    const UniqueFd server = listen_tcp("127.0.0.1", 0);
    const Container box = attached_container("c1", 2);
    Child inside = box.run(
        [&] { return connect_to(Transport::tcp, "10.0.2.2", port_of(server)).socket ? 1 : 0; });
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Outside, ContainersOfOneBridgeReachEachOther) {
    const Container server = attached_container("c1", 2);
    const Container client = attached_container("c2", 3);
    Child greeting = server.run([] {
        const UniqueFd listener = listen_tcp("172.17.0.2", 80);
        UniqueFd connection = accept_one(listener);
        return send_text(connection, "hello") ? 0 : 1;
    });
    Child asking = client.run([] {
        int result = 0;
        // The server may not listen yet: it refuses until it does.
        for (int tries = 0; tries < 10'000; ++tries) {
            result = expect_greeting("172.17.0.2", 80);
            if (result != ECONNREFUSED) return result;
            ::sched_yield();
        }
        return result;
    });
    EXPECT_EQ(asking.wait(), 0);
    EXPECT_EQ(greeting.wait(), 0);
}

TEST_F(Outside, NetworksAreIsolatedFromEachOther) {
    const Container one = attached_container("c1", 2);
    ensure({.id = "net1",
            .name = "other",
            .bridge = "br-other",
            .subnet = "172.18.0.0/16",
            .gateway = "172.18.0.1"});
    const Container two = container("c2");
    Attachment there = attachment("c2", 2);
    there.network_id = "net1";
    there.address = "172.18.0.2/16";
    there.gateway = "172.18.0.1";
    client().attach(there, two.network_namespace());
    // A datagram to an open port would arrive; to a closed one be refused: here neither.
    Child inside = two.run([] {
        const Connection probe = connect_to(Transport::udp, "172.17.0.2", 9);
        const timeval brief{0, 200'000};
        ::setsockopt(probe.socket.get(), SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief);
        send_text(probe.socket, "x");
        char byte = 0;
        const ssize_t count = ::recv(probe.socket.get(), &byte, 1, 0);
        return count < 0 && errno == EAGAIN ? 0 : 1;
    });
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Outside, LoopbackComesUpWithoutNetwork) {
    const Container box = container("c1");
    client().loopback(box.network_namespace());
    Child inside = box.run([] {
        const UniqueFd listener = listen_tcp("127.0.0.1", 0);
        return connect_to(Transport::tcp, "127.0.0.1", port_of(listener)).error;
    });
    EXPECT_EQ(inside.wait(), 0);
}

}  // namespace
}  // namespace berth::net
