// Many outgoing connections: in parallel, in a row, from a container that floods, and what of them
// is left.
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "egress_world.h"
#include "linux/socket_address.h"

namespace berth::net {
namespace {

constexpr int kClients = 4;
constexpr int kEach = 500;
constexpr int kFlood = 3000;
// So many descriptors of the network process, and the connections of one container they allow.
constexpr int kFewDescriptors = 256 + 16 * 20;
constexpr int kShare = 20;

class EgressLoad : public EgressWorld {};

// Accepts connections, answers each one's first bytes with the same, and closes.
[[noreturn]] void echo(BorrowedFd listener) {
    while (true) {
        const UniqueFd connection = accept_one(listener);
        send_text(connection, receive(connection));
    }
}

long resident_kilobytes(pid_t pid) {
    const std::string status = read_file(fmt::format("/proc/{}/status", pid));
    return std::stol(status.substr(status.find("VmRSS:") + 6));
}

/// SYNs to a port that does not answer, each with as much data as fits.
bool send_large_syns(int count) {
    const linux_os::SocketAddress target{IpAddress::parse(kRemoteAddress), 81};
    const UniqueFd raw{::socket(AF_INET, SOCK_RAW, IPPROTO_RAW)};
    std::string packet(60'000, 'x');
    iphdr ip{};
    ip.version = 4;
    ip.ihl = 5;
    ip.ttl = 64;
    ip.protocol = IPPROTO_TCP;
    ip.daddr = reinterpret_cast<const sockaddr_in*>(target.get())->sin_addr.s_addr;
    for (int i = 0; i < count; ++i) {
        tcphdr tcp{};
        tcp.source = htons(static_cast<std::uint16_t>(1000 + i));
        tcp.dest = htons(81);
        tcp.doff = 5;
        tcp.syn = 1;
        std::memcpy(packet.data(), &ip, sizeof ip);
        std::memcpy(packet.data() + sizeof ip, &tcp, sizeof tcp);
        if (::sendto(raw.get(), packet.data(), packet.size(), 0, target.get(), target.length()) < 0)
            return false;
    }
    return true;
}

void allow_many_descriptors() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

TEST_F(EgressLoad, EachOfManyConnectsAtOnceAndIsItsOwn) {
    const UniqueFd server = listen_remotely(kRemoteAddress);
    const Child echoing = Child::run([&]() -> int { echo(server); });
    const Container box = attached_container("c1", 2);
    std::vector<Child> clients;
    for (int client = 0; client < kClients; ++client)
        clients.push_back(box.run([&] {
            for (int i = 0; i < kEach; ++i) {
                const Connection made = connect_to(Transport::tcp, kRemoteAddress, port_of(server));
                if (!made.socket) return made.error;
                const std::string text = fmt::format("{} {}", client, i);
                if (!send_text(made.socket, text) || receive(made.socket) != text) return 98;
            }
            return 0;
        }));
    for (Child& client : clients) EXPECT_EQ(client.wait(), 0);
}

TEST_F(EgressLoad, EndedConnectionsLeaveNoDescriptor) {
    const UniqueFd server = listen_remotely(kRemoteAddress);
    const Child echoing = Child::run([&]() -> int { echo(server); });
    const Container box = attached_container("c1", 2);
    const auto use_some = [&] {
        return box
            .run([&] {
                for (int i = 0; i < 50; ++i) {
                    const Connection made =
                        connect_to(Transport::tcp, kRemoteAddress, port_of(server));
                    if (!send_text(made.socket, "x") || receive_all(made.socket) != "x") return 1;
                }
                return connect_to(Transport::tcp, kRemoteAddress, 9).error;
            })
            .wait();
    };
    EXPECT_EQ(use_some(), ECONNREFUSED);
    const int before = open_descriptors(network_.pid());
    for (int i = 0; i < 4; ++i) EXPECT_EQ(use_some(), ECONNREFUSED);
    // A few may end a moment later, and a few pipes are kept.
    EXPECT_LT(open_descriptors(network_.pid()), before + 30);
}

TEST_F(EgressLoad, FloodOfOneContainerLeavesOthersAlone) {
    set_remote_firewall("tcp dport 81 drop");
    const UniqueFd server = listen_remotely(kRemoteAddress);
    const Container flooding = attached_container("c1", 2);
    const Container other = container("c2");
    client().attach(attachment("c2", 3), other.network_namespace());
    Pipe begun = Pipe::make();
    const Child flood = flooding.run([&] {
        allow_many_descriptors();
        const linux_os::SocketAddress target{IpAddress::parse(kRemoteAddress), 81};
        std::vector<UniqueFd> sockets;
        for (int i = 0; i < kFlood; ++i) {
            sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
            ::connect(sockets.back().get(), target.get(), target.length());
        }
        write_all(begun.write, "b");
        while (true) ::pause();
        return 0;
    });
    begun.write.reset();
    char byte = 0;
    ASSERT_EQ(::read(begun.read.get(), &byte, 1), 1);
    EXPECT_LT(open_descriptors(network_.pid()), kFlood);
    EXPECT_EQ(
        other.run([&] { return connect_to(Transport::tcp, kRemoteAddress, port_of(server)).error; })
            .wait(),
        0);
}

TEST_F(EgressLoad, ConnectionsOfOneContainerLeaveOthersSome) {
    crash_network();
    descriptors_ = kFewDescriptors;
    start_network();
    const UniqueFd server = listen_remotely(kRemoteAddress);
    const Container greedy = attached_container("c1", 2);
    const Container other = container("c2");
    client().attach(attachment("c2", 3), other.network_namespace());
    Pipe begun = Pipe::make();
    const Child holding = greedy.run([&] {
        const linux_os::SocketAddress target{IpAddress::parse(kRemoteAddress), port_of(server)};
        std::vector<UniqueFd> sockets;
        for (int i = 0; i < kShare + 5; ++i) {
            sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
            ::connect(sockets.back().get(), target.get(), target.length());
            pollfd polled{sockets.back().get(), POLLOUT, 0};
            // Each of the share connects; the SYN of the next is dropped.
            const char connected =
                ::poll(&polled, 1, i < kShare ? kDeadlineMs : 0) == 1 ? 'c' : 'w';
            write_all(begun.write, {&connected, 1});
        }
        while (true) ::pause();
        return 0;
    });
    std::string outcome(kShare + 5, '\0');
    for (char& each : outcome) ASSERT_EQ(::read(begun.read.get(), &each, 1), 1);
    EXPECT_EQ(outcome, std::string(kShare, 'c') + std::string(5, 'w'));
    EXPECT_EQ(
        other.run([&] { return connect_to(Transport::tcp, kRemoteAddress, port_of(server)).error; })
            .wait(),
        0);
}

TEST_F(EgressLoad, HeldSynsTakeNoMemoryForTheirData) {
    set_remote_firewall("tcp dport 81 drop");
    const Container box = attached_container("c1", 2);
    const long before = resident_kilobytes(network_.pid());
    const int flood = box.run([&] {
                             if (!send_large_syns(500)) return errno;
                             // Behind them in the same queue.
                             return connect_to(Transport::tcp, kRemoteAddress, 9).error;
                         })
                          .wait();
    EXPECT_EQ(flood, ECONNREFUSED);
    EXPECT_LT(resident_kilobytes(network_.pid()), before + 8000);
}

}  // namespace
}  // namespace berth::net
