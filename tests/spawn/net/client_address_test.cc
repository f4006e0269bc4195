// Whose address a server behind a published port sees, and that its answers reach the client.
#include <gmock/gmock.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "base/file.h"
#include "linux/socket_address.h"
#include "network_world.h"

namespace berth::net {
namespace {

constexpr std::uint16_t kInside = 8080;

/// Tells each client who it looks like; TCP closes then.
int tell_peers(Transport transport, const std::string& address, BorrowedFd ready) {
    if (transport == Transport::tcp) {
        const UniqueFd listener = listen_tcp(address, kInside);
        (void)!::write(ready.get(), "r", 1);
        for (;;) {
            const UniqueFd connection = accept_one(listener);
            receive(connection);
            send_text(connection, peer_of(connection));
        }
    }
    const UniqueFd socket = bind_udp(address, kInside);
    (void)!::write(ready.get(), "r", 1);
    for (;;) {
        linux_os::SocketAddress sender;
        socklen_t length = linux_os::SocketAddress::capacity();
        char byte = 0;
        if (::recvfrom(socket.get(), &byte, 1, 0, sender.get(), &length) < 0) return 1;
        const std::string text = fmt::format("{} {}", sender.address().str(), sender.port());
        ::sendto(socket.get(), text.data(), text.size(), 0, sender.get(), length);
    }
}

class ClientAddress : public NetworkWorld {
  protected:
    static Child server(const Container& box, Transport transport, const std::string& address) {
        Pipe ready = Pipe::make();
        const int write_end = ready.write.get();
        Child child =
            box.run([&] { return tell_peers(transport, address, BorrowedFd{write_end}); });
        char byte = 0;
        EXPECT_EQ(::read(ready.read.get(), &byte, 1), 1);
        return child;
    }
    static PortBinding binding(Transport transport) {
        return {.transport = transport,
                .container_ip = "172.17.0.2",
                .container_ip_v6 = "fd88::2",
                .container_port = kInside};
    }
};

/// What the server calls this client, beside what the client calls itself.
struct Seen final {
    std::string by_server;
    std::string by_client;
};

Seen ask(Transport transport, const std::string& address, std::uint16_t port) {
    const Connection client = connect_to(transport, address, port);
    if (!client.socket) return {::strerror(client.error), ""};
    send_text(client.socket, "?");
    return {receive(client.socket), name_of(client.socket)};
}

/// In the remote machine: 0 when the server sees the client as it is.
int is_seen_as_it_is(Transport transport, const std::string& address, std::uint16_t port) {
    const Seen seen = ask(transport, address, port);
    if (seen.by_server == seen.by_client) return 0;
    ::dprintf(2, "seen as '%s', is '%s'\n", seen.by_server.c_str(), seen.by_client.c_str());
    return 1;
}

TEST_F(ClientAddress, IsKeptForTcp) {
    const Container box = attached_container("c1", 2);
    const Child server = ClientAddress::server(box, Transport::tcp, "0.0.0.0");
    const std::uint16_t port = publish(box, binding(Transport::tcp))[0].host_port;
    const Remote remote;
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(
            remote.run([&] { return is_seen_as_it_is(Transport::tcp, kHostAddress, port); }).wait(),
            0);
}

TEST_F(ClientAddress, IsKeptForUdp) {
    const Container box = attached_container("c1", 2);
    const Child server = ClientAddress::server(box, Transport::udp, "0.0.0.0");
    const std::uint16_t port = publish(box, binding(Transport::udp))[0].host_port;
    const Remote remote;
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(
            remote.run([&] { return is_seen_as_it_is(Transport::udp, kHostAddress, port); }).wait(),
            0);
}

// As name servers, SIP and key exchange do among themselves.
TEST_F(ClientAddress, IsKeptForUdpFromThePublishedPort) {
    const Container box = attached_container("c1", 2);
    const Child server = ClientAddress::server(box, Transport::udp, "0.0.0.0");
    const std::uint16_t port = publish(box, binding(Transport::udp))[0].host_port;
    const Remote remote;
    const auto ask_from_port = [&] {
        const UniqueFd client = bind_udp(kRemoteAddress, port);
        const linux_os::SocketAddress target{IpAddress::parse(kHostAddress), port};
        if (::connect(client.get(), target.get(), target.length()) < 0) return 1;
        send_text(client, "?");
        const std::string seen = receive(client);
        ::dprintf(2, "seen as '%s'\n", seen.c_str());
        return seen == name_of(client) ? 0 : 2;
    };
    EXPECT_EQ(remote.run(ask_from_port).wait(), 0);
}

/// A datagram to `address` that claims to come from the remote machine.
bool send_forged(const std::string& address, std::uint16_t port) {
    const linux_os::SocketAddress claimed{IpAddress::parse(kRemoteAddress), 5555};
    const linux_os::SocketAddress target{IpAddress::parse(address), port};
    const UniqueFd raw{::socket(AF_INET, SOCK_RAW, IPPROTO_RAW)};
    struct {
        iphdr ip{};
        udphdr udp{};
    } packet;
    packet.ip.version = 4;
    packet.ip.ihl = 5;
    packet.ip.ttl = 64;
    packet.ip.protocol = IPPROTO_UDP;
    packet.ip.saddr = reinterpret_cast<const sockaddr_in*>(claimed.get())->sin_addr.s_addr;
    packet.ip.daddr = reinterpret_cast<const sockaddr_in*>(target.get())->sin_addr.s_addr;
    packet.udp.source = htons(claimed.port());
    packet.udp.dest = htons(port);
    packet.udp.len = htons(sizeof packet.udp);
    return ::sendto(raw.get(), &packet, sizeof packet, 0, target.get(), target.length()) > 0;
}

TEST_F(ClientAddress, ForgedByAContainerIsNotBelieved) {
    const Container box = attached_container("c1", 2);
    const Container liar = container("c2");
    client().attach(attachment("c2", 3), liar.network_namespace());
    Pipe words = Pipe::make();
    const Child server = box.run([&] {
        const UniqueFd socket = bind_udp("0.0.0.0", kInside);
        write_all(words.write, "r");
        linux_os::SocketAddress sender;
        socklen_t length = linux_os::SocketAddress::capacity();
        if (::recvfrom(socket.get(), nullptr, 0, 0, sender.get(), &length) < 0) return 1;
        write_all(words.write, sender.address().str());
        return 0;
    });
    words.write.reset();
    char text[64];
    ASSERT_EQ(::read(words.read.get(), text, 1), 1);
    const std::uint16_t port = publish(box, binding(Transport::udp))[0].host_port;
    EXPECT_EQ(liar.run([&] { return send_forged("172.17.0.1", port) ? 0 : 1; }).wait(), 0);
    const ssize_t count = ::read(words.read.get(), text, sizeof text);
    EXPECT_EQ(std::string(text, count > 0 ? static_cast<std::size_t>(count) : 0), "172.17.0.1");
}

TEST_F(ClientAddress, IsKeptForTcpOverIpv6) {
    const Container box = dual_stack_container("c1", 2);
    const Child server = ClientAddress::server(box, Transport::tcp, "::");
    const std::uint16_t port = publish(box, binding(Transport::tcp))[0].host_port;
    const Remote remote;
    EXPECT_EQ(
        remote.run([&] { return is_seen_as_it_is(Transport::tcp, kHostAddress6, port); }).wait(),
        0);
}

TEST_F(ClientAddress, IsKeptForUdpOverIpv6) {
    const Container box = dual_stack_container("c1", 2);
    const Child server = ClientAddress::server(box, Transport::udp, "::");
    const std::uint16_t port = publish(box, binding(Transport::udp))[0].host_port;
    const Remote remote;
    EXPECT_EQ(
        remote.run([&] { return is_seen_as_it_is(Transport::udp, kHostAddress6, port); }).wait(),
        0);
}

TEST_F(ClientAddress, OfTheHostItselfIsKept) {
    const Container box = attached_container("c1", 2);
    const Child server = ClientAddress::server(box, Transport::tcp, "0.0.0.0");
    const std::uint16_t port = publish(box, binding(Transport::tcp))[0].host_port;
    const Seen seen = ask(Transport::tcp, kHostAddress, port);
    EXPECT_EQ(seen.by_server, seen.by_client);
}

TEST_F(ClientAddress, OfALoopbackClientIsTheGateway) {
    const Container box = dual_stack_container("c1", 2);
    const Child tcp = ClientAddress::server(box, Transport::tcp, "::");
    const Child udp = ClientAddress::server(box, Transport::udp, "::");
    const auto bound = publish(box, std::vector{binding(Transport::tcp), binding(Transport::udp)});
    EXPECT_THAT(ask(Transport::tcp, "127.0.0.1", bound[0].host_port).by_server,
                testing::StartsWith("::ffff:172.17.0.1 "));
    EXPECT_THAT(ask(Transport::tcp, "::1", bound[1].host_port).by_server,
                testing::StartsWith("fd88::1 "));
    EXPECT_THAT(ask(Transport::udp, "127.0.0.1", bound[2].host_port).by_server,
                testing::StartsWith("::ffff:172.17.0.1 "));
    EXPECT_THAT(ask(Transport::udp, "::1", bound[3].host_port).by_server,
                testing::StartsWith("fd88::1 "));
}

TEST_F(ClientAddress, OfAnIpv6ClientOfAnIpv4ContainerIsTheGateway) {
    const Container box = attached_container("c1", 2);
    const Child server = ClientAddress::server(box, Transport::tcp, "0.0.0.0");
    PortBinding only_v4 = binding(Transport::tcp);
    only_v4.container_ip_v6.clear();
    const std::uint16_t port = publish(box, only_v4)[0].host_port;
    const Remote remote;
    Child client = remote.run([&] {
        return ask(Transport::tcp, kHostAddress6, port).by_server.starts_with("172.17.0.1 ") ? 0
                                                                                             : 1;
    });
    EXPECT_EQ(client.wait(), 0);
}

TEST_F(ClientAddress, OnAnInternalNetworkIsTheGateway) {
    NetworkSpec spec = default_network();
    spec.internal = true;
    ensure(spec);
    const Container box = container("c1");
    Attachment wanted = attachment("c1", 2);
    wanted.gateway.clear();
    client().attach(wanted, box.network_namespace());
    const Child server = ClientAddress::server(box, Transport::tcp, "0.0.0.0");
    const std::uint16_t port = publish(box, binding(Transport::tcp))[0].host_port;
    const Remote remote;
    Child asking = remote.run([&] {
        return ask(Transport::tcp, kHostAddress, port).by_server.starts_with("172.17.0.1 ") ? 0 : 1;
    });
    EXPECT_EQ(asking.wait(), 0);
}

TEST_F(ClientAddress, UdpAnswersComeFromTheAddressThatWasAsked) {
    const Container box = attached_container("c1", 2);
    const Child server = ClientAddress::server(box, Transport::udp, "0.0.0.0");
    const std::uint16_t port = publish(box, binding(Transport::udp))[0].host_port;
    // One unconnected socket asks two addresses of the host.
    const UniqueFd asking = bind_udp("0.0.0.0", 0);
    for (const char* address : {"127.0.0.1", kHostAddress, "127.0.0.2"}) {
        const linux_os::SocketAddress target{IpAddress::parse(address), port};
        ::sendto(asking.get(), "?", 1, 0, target.get(), target.length());
        linux_os::SocketAddress answered;
        socklen_t length = linux_os::SocketAddress::capacity();
        char text[64];
        ASSERT_GT(::recvfrom(asking.get(), text, sizeof text, 0, answered.get(), &length), 0);
        EXPECT_EQ(answered.address().str(), address);
        EXPECT_EQ(answered.port(), port);
    }
}

TEST_F(ClientAddress, ContainersReachAPublishedPortAtAnyGateway) {
    const Container box = attached_container("c1", 2);
    const Child server = ClientAddress::server(box, Transport::tcp, "0.0.0.0");
    const std::uint16_t port = publish(box, binding(Transport::tcp))[0].host_port;
    NetworkSpec second = default_network();
    second.id = "net1";
    second.name = "second";
    second.bridge = "br-second";
    second.subnet = "172.18.0.0/16";
    second.gateway = "172.18.0.1";
    ensure(second);
    const Container other = container("c2");
    Attachment wanted = attachment("c2", 2);
    wanted.network_id = "net1";
    wanted.address = "172.18.0.2/16";
    wanted.gateway = "172.18.0.1";
    client().attach(wanted, other.network_namespace());
    for (const Container* asking : {&box, &other}) {
        Child child = asking->run([&] {
            const std::string gateway = asking == &box ? "172.17.0.1" : "172.18.0.1";
            const Seen seen = ask(Transport::tcp, gateway, port);
            return seen.by_server.starts_with("172.17.0.1 ") ? 0 : 1;
        });
        EXPECT_EQ(child.wait(), 0);
    }
}

}  // namespace
}  // namespace berth::net
