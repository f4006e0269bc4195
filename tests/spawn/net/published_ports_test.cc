// Published ports: relayed TCP and UDP, and the errors of taking them.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <filesystem>
#include <set>
#include <thread>

#include "linux/socket_address.h"
#include "network_world.h"

namespace berth::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint16_t kInside = 8080;

class PublishedPorts : public NetworkWorld {
  protected:
    PortBinding to(int last, Transport transport = Transport::tcp) {
        return {.transport = transport,
                .container_ip = fmt::format("172.17.0.{}", last),
                .container_port = kInside};
    }
    /// A container whose `serve` runs on its listening socket before this returns.
    Child serve(const Container& box, const std::function<int(BorrowedFd)>& work,
                Transport transport = Transport::tcp) {
        Pipe ready = Pipe::make();
        const int write_end = ready.write.get();
        Child child = box.run([&] {
            const UniqueFd socket = transport == Transport::tcp ? listen_tcp("0.0.0.0", kInside)
                                                                : bind_udp("0.0.0.0", kInside);
            (void)!::write(write_end, "r", 1);
            return work(socket);
        });
        char byte = 0;
        EXPECT_EQ(::read(ready.read.get(), &byte, 1), 1);
        return child;
    }
};

std::set<rlim_t> open_descriptors(const linux_os::PidFd& process) {
    std::set<rlim_t> numbers;
    for (const auto& entry :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", process.pid())))
        numbers.insert(std::stoul(entry.path().filename()));
    return numbers;
}

/// The limit of descriptors under which a process may open `spare` more.
rlim_t limit_with(const linux_os::PidFd& process, std::size_t spare) {
    constexpr rlim_t kPolled = 4;  // poll(2) of more descriptors than the limit fails
    const std::set<rlim_t> used = open_descriptors(process);
    rlim_t limit = 0;
    for (std::size_t free = 0; limit < kPolled || free < spare; ++limit)
        if (!used.contains(limit)) ++free;
    return limit;
}

/// A process's limit of descriptors, lower for a while.
class DescriptorLimit final {
  public:
    DescriptorLimit(const linux_os::PidFd& process, rlim_t limit) : pid_(process.pid()) {
        EXPECT_EQ(::prlimit(pid_, RLIMIT_NOFILE, nullptr, &before_), 0);
        const rlimit lower{limit, before_.rlim_max};
        EXPECT_EQ(::prlimit(pid_, RLIMIT_NOFILE, &lower, nullptr), 0);
    }
    ~DescriptorLimit() { ::prlimit(pid_, RLIMIT_NOFILE, &before_, nullptr); }

  private:
    pid_t pid_;
    rlimit before_{};
};

int echo_until_end(BorrowedFd listener) {
    const UniqueFd connection = accept_one(listener);
    const std::string all = receive_all(connection);
    return send_text(connection, all) ? 0 : 1;
}

TEST_F(PublishedPorts, TcpEchoesAMegabyteOverAHalfClose) {
    const Container box = attached_container("c1", 2);
    Child server = serve(box, echo_until_end);
    const auto bound = publish(box, to(2));
    const Connection client = connect_to(Transport::tcp, "127.0.0.1", bound[0].host_port);
    ASSERT_TRUE(client.socket);
    std::string sent(1 << 20, 'x');
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 + i / 251);
    ASSERT_TRUE(send_text(client.socket, sent));
    ::shutdown(client.socket.get(), SHUT_WR);
    EXPECT_TRUE(receive_all(client.socket) == sent);
    EXPECT_EQ(server.wait(), 0);
}

TEST_F(PublishedPorts, ServerMaySpeakFirstAndEndFirst) {
    const Container box = attached_container("c1", 2);
    Child server = serve(box, [](BorrowedFd listener) {
        const UniqueFd connection = accept_one(listener);
        send_text(connection, "greeting");
        ::shutdown(connection.get(), SHUT_WR);
        return receive_all(connection) == "late words" ? 0 : 1;
    });
    const auto bound = publish(box, to(2));
    Connection client = connect_to(Transport::tcp, "127.0.0.1", bound[0].host_port);
    EXPECT_EQ(receive_all(client.socket), "greeting");
    EXPECT_TRUE(send_text(client.socket, "late words"));
    client.socket.reset();
    EXPECT_EQ(server.wait(), 0);
}

TEST_F(PublishedPorts, BothFamiliesShareOneNumber) {
    const Container box = attached_container("c1", 2);
    Child server = serve(box, echo_until_end);
    const auto bound = publish(box, to(2));
    ASSERT_EQ(bound.size(), 2U);
    EXPECT_EQ(bound[0].host_ip, "0.0.0.0");
    EXPECT_EQ(bound[1].host_ip, "::");
    EXPECT_EQ(bound[0].host_port, bound[1].host_port);
    const Connection client = connect_to(Transport::tcp, "::1", bound[1].host_port);
    ASSERT_TRUE(client.socket);
    send_text(client.socket, "six");
    ::shutdown(client.socket.get(), SHUT_WR);
    EXPECT_EQ(receive_all(client.socket), "six");
}

TEST_F(PublishedPorts, ResetPassesThrough) {
    const Container box = attached_container("c1", 2);
    Child server = serve(box, [](BorrowedFd listener) {
        const UniqueFd connection = accept_one(listener);
        if (receive(connection) != "hello" || !send_text(connection, "go")) return 1;
        char byte = 0;
        return ::recv(connection.get(), &byte, 1, 0) < 0 && errno == ECONNRESET ? 0 : 2;
    });
    const auto bound = publish(box, to(2));
    Connection client = connect_to(Transport::tcp, "127.0.0.1", bound[0].host_port);
    send_text(client.socket, "hello");
    EXPECT_EQ(receive(client.socket), "go");
    const linger none{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(client.socket.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
    client.socket.reset();
    EXPECT_EQ(server.wait(), 0);
}

TEST_F(PublishedPorts, AThousandConnectionsAtATime) {
    constexpr int kConnections = 1000;
    const Container box = attached_container("c1", 2);
    Child server = serve(box, [](BorrowedFd listener) {
        std::vector<UniqueFd> connections;
        for (int i = 0; i < kConnections; ++i) connections.push_back(accept_one(listener));
        for (const UniqueFd& connection : connections)
            if (!send_text(connection, "got " + receive(connection))) return 1;
        return 0;
    });
    const std::uint16_t port = publish(box, to(2))[0].host_port;
    std::vector<Connection> clients;
    for (int i = 0; i < kConnections; ++i) {
        clients.push_back(
            connect_to(Transport::tcp, i % 2 == 0 ? "127.0.0.1" : kHostAddress, port));
        ASSERT_TRUE(clients.back().socket) << i;
        send_text(clients.back().socket, std::to_string(i));
    }
    for (std::size_t i = 0; i < clients.size(); ++i)
        ASSERT_EQ(receive(clients[i].socket), "got " + std::to_string(i));
    EXPECT_EQ(server.wait(), 0);
}

TEST_F(PublishedPorts, TooManyTcpClientsOfOnePortLeaveDescriptorsToOthers) {
    const Container box = attached_container("c1", 2);
    const Child server = serve(box, [](BorrowedFd listener) {
        for (std::vector<UniqueFd> connections;;) {
            connections.push_back(accept_one(listener));
            send_text(connections.back(), "hi");
        }
        return 0;
    });
    const DescriptorLimit few(network_, *open_descriptors(network_).rbegin() + 100);
    const auto bound = publish(box, std::vector{to(2), to(2)});
    const std::uint16_t port = bound.front().host_port, other_port = bound.back().host_port;
    std::vector<Connection> clients;
    int served = 0;
    for (int i = 0; i < 100; ++i) {
        clients.push_back(connect_to(Transport::tcp, "127.0.0.1", port));
        if (receive(clients.back().socket) == "hi") ++served;
    }
    EXPECT_GT(served, 3);
    EXPECT_LT(served, 50);
    const Connection other = connect_to(Transport::tcp, "::1", other_port);
    EXPECT_EQ(receive(other.socket), "hi");
}

int echo_datagrams(BorrowedFd socket) {
    for (std::string text(65536, '\0');;) {
        linux_os::SocketAddress sender;
        socklen_t length = linux_os::SocketAddress::capacity();
        const ssize_t count =
            ::recvfrom(socket.get(), text.data(), text.size(), 0, sender.get(), &length);
        if (count < 0) return 1;
        ::sendto(socket.get(), text.data(), static_cast<std::size_t>(count), 0, sender.get(),
                 length);
    }
}

TEST_F(PublishedPorts, MoreUdpClientsThanDescriptorsAreAllServed) {
    const Container box = attached_container("c1", 2);
    const Child server = serve(box, echo_datagrams, Transport::udp);
    const DescriptorLimit few(network_, *open_descriptors(network_).rbegin() + 100);
    const std::uint16_t port = publish(box, to(2, Transport::udp))[0].host_port;
    std::vector<Connection> clients;
    for (int i = 0; i < 300; ++i) {
        clients.push_back(
            connect_to(Transport::udp, i % 2 == 0 ? "127.0.0.1" : kHostAddress, port));
        send_text(clients.back().socket, std::to_string(i));
        ASSERT_EQ(receive(clients.back().socket), std::to_string(i));
    }
    send_text(clients.front().socket, "again");
    EXPECT_EQ(receive(clients.front().socket), "again");
}

TEST_F(PublishedPorts, UdpDatagramsOfAllSizesPassInBothDirections) {
    const Container box = attached_container("c1", 2);
    const Child server = serve(box, echo_datagrams, Transport::udp);
    const std::uint16_t port = publish(box, to(2, Transport::udp))[0].host_port;
    const Connection one = connect_to(Transport::udp, kHostAddress, port);
    // In bursts: equal sizes, a shorter one behind them, and sizes beyond any card's MTU.
    for (const std::size_t size : {1UL, 100UL, 1400UL, 9000UL, 20000UL}) {
        const std::vector<std::size_t> sizes{size, size, size, size / 2 + 1, size};
        for (const std::size_t each : sizes) send_text(one.socket, std::string(each, 'x'));
        for (const std::size_t each : sizes) EXPECT_EQ(receive(one.socket).size(), each);
    }
    send_text(one.socket, std::string(65507, 'x'));
    EXPECT_EQ(::recv(one.socket.get(), nullptr, 0, MSG_TRUNC), 65507);
}

TEST_F(PublishedPorts, UdpAnswersComeBackToEachClient) {
    const Container box = attached_container("c1", 2);
    Child server = serve(
        box,
        [](BorrowedFd socket) {
            for (int i = 0; i < 2; ++i) {
                linux_os::SocketAddress sender;
                socklen_t length = linux_os::SocketAddress::capacity();
                char buffer[16];
                const ssize_t count =
                    ::recvfrom(socket.get(), buffer, sizeof buffer, 0, sender.get(), &length);
                if (count < 0) return 1;
                ::sendto(socket.get(), buffer, static_cast<std::size_t>(count), 0, sender.get(),
                         length);
            }
            return 0;
        },
        Transport::udp);
    const auto bound = publish(box, to(2, Transport::udp));
    const Connection one = connect_to(Transport::udp, "127.0.0.1", bound[0].host_port);
    const Connection two = connect_to(Transport::udp, kHostAddress, bound[0].host_port);
    send_text(one.socket, "one");
    send_text(two.socket, "two");
    EXPECT_EQ(receive(one.socket), "one");
    EXPECT_EQ(receive(two.socket), "two");
    EXPECT_EQ(server.wait(), 0);
}

TEST_F(PublishedPorts, UnpublishFreesThePort) {
    const Container box = attached_container("c1", 2);
    const auto bound = publish(box, to(2));
    client().unpublish("c1");
    EXPECT_TRUE(listen_tcp("0.0.0.0", bound[0].host_port));
    EXPECT_TRUE(client().state().bindings.empty());
}

TEST_F(PublishedPorts, ConflictWithAnotherContainerHasDockersText) {
    const Container one = attached_container("c1", 2);
    const Container two = attached_container("c2", 3);
    PortBinding binding = to(2);
    binding.host_port = 18080;
    publish(one, binding);
    EXPECT_EQ(error_of([&] { publish(two, binding); }),
              "Bind for 0.0.0.0:18080 failed: port is already allocated");
}

TEST_F(PublishedPorts, ConflictWithAStrangerHasDockersText) {
    const Container box = attached_container("c1", 2);
    const UniqueFd stranger = listen_tcp("0.0.0.0", 18081);
    PortBinding binding = to(2);
    binding.host_port = 18081;
    EXPECT_EQ(error_of([&] { publish(box, binding); }),
              "failed to bind host port for 0.0.0.0:18081:172.17.0.2:8080/tcp: address already in "
              "use");
    EXPECT_TRUE(client().state().bindings.empty());
}

TEST_F(PublishedPorts, AFailureTakesNothing) {
    const Container box = attached_container("c1", 2);
    const UniqueFd stranger = listen_tcp("0.0.0.0", 18083);
    PortBinding good = to(2), bad = to(2);
    good.host_port = 18082;
    bad.host_port = 18083;
    EXPECT_NE(error_of([&] { publish(box, std::vector{good, bad}); }), "");
    EXPECT_EQ(error_of([&] { publish(box, good); }), "");
}

TEST_F(PublishedPorts, PrivilegedPortNamesTheSysctl) {
    const Container box = attached_container("c1", 2);
    PortBinding binding = to(2);
    binding.host_port = 80;
    const std::string text = error_of([&] { publish(box, binding); });
    EXPECT_THAT(text, StartsWith("failed to bind host port for 0.0.0.0:80:172.17.0.2:8080/tcp"));
    EXPECT_THAT(text, HasSubstr("sysctl -w net.ipv4.ip_unprivileged_port_start=80"));
}

TEST_F(PublishedPorts, RangeTakesTheFirstFreeAndThenIsExhausted) {
    const Container box = attached_container("c1", 2);
    const UniqueFd stranger = listen_tcp("0.0.0.0", 18090);
    PortBinding binding = to(2);
    binding.host_port = 18090;
    binding.host_port_end = 18091;
    EXPECT_EQ(publish(box, binding)[0].host_port, 18091);
    const Container other = attached_container("c2", 3);
    EXPECT_EQ(error_of([&] { publish(other, binding); }), "all ports are allocated");
}

TEST_F(PublishedPorts, OutlivesALackOfDescriptors) {
    const Container box = attached_container("c1", 2);
    const Child server = serve(box, [](BorrowedFd listener) -> int {
        for (;;)
            std::thread([connection = accept_one(listener)] {
                for (std::string text = receive(connection); !text.empty();) {
                    send_text(connection, text);
                    text = receive(connection);
                }
            }).detach();
    });
    const std::uint16_t port = publish(box, to(2))[0].host_port;
    for (rlim_t spare = 1; spare < 4; ++spare) {
        // Above all that are open: giving up the spare descriptor must help.
        const DescriptorLimit few(network_, *open_descriptors(network_).rbegin() + 1 + spare);
        std::vector<Connection> clients;
        for (int i = 0; i < 160; ++i) {
            clients.push_back(connect_to(Transport::tcp, "127.0.0.1", port));
            if (clients.back().socket) send_text(clients.back().socket, "text");
        }
        int refused = 0;  // served, cut off or turned away, but nobody waits for ever
        for (const Connection& each : clients) refused += receive(each.socket) == "text" ? 0 : 1;
        EXPECT_GT(refused, 0);
    }
    const Connection client = connect_to(Transport::tcp, "127.0.0.1", port);
    ASSERT_TRUE(client.socket);
    ASSERT_TRUE(send_text(client.socket, "text"));
    EXPECT_EQ(receive(client.socket), "text");
}

TEST_F(PublishedPorts, AFailureHalfWayGivesThePortsBack) {
    const Container one = attached_container("c1", 2);
    const Container two = attached_container("c2", 3);
    PortBinding first = to(2), second = to(2);
    first.host_port = 18084;
    second.host_port = 18085;
    int failures = 0;
    for (std::size_t spare = 0; spare < 6; ++spare) {
        {
            const DescriptorLimit few(network_, limit_with(network_, spare));
            if (!error_of([&] { client().publish({"c1", {first, second}}, {}); }).empty())
                ++failures;
        }
        if (client().state().bindings.empty()) {
            EXPECT_EQ(error_of([&] {
                          client().publish({"c2", {first, second}}, {});
                      }),
                      "")
                << spare;
            client().unpublish("c2");
        }
        client().unpublish("c1");
    }
    EXPECT_GE(failures, 3);
}

TEST_F(PublishedPorts, SctpIsRefused) {
    const Container box = attached_container("c1", 2);
    EXPECT_THAT(error_of([&] { publish(box, to(2, Transport::sctp)); }), HasSubstr("sctp"));
}

}  // namespace
}  // namespace berth::net
