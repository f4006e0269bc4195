// What passes through a spliced outgoing connection once it stands: both directions, half-close,
// resets, urgent bytes, many at a time, the end of the network process.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <vector>

#include "base/file.h"
#include "egress_world.h"
#include "linux/socket_address.h"

namespace berth::net {
namespace {

constexpr int kMany = 1000;
constexpr int kStalled = 40;

class EgressStream : public EgressWorld {
  protected:
    void SetUp() override {
        EgressWorld::SetUp();
        if (IsSkipped()) return;
        server_ = listen_remotely(kRemoteAddress);
        box_.emplace(attached_container("c1", 2));
    }
    void TearDown() override {
        box_.reset();
        server_.reset();
        EgressWorld::TearDown();
    }
    /// Connects in the container and runs `work` with the socket there.
    Child connected(const std::function<int(BorrowedFd)>& work) {
        return box_->run([&, this] {
            const Connection made = connect_to(Transport::tcp, kRemoteAddress, port_of(server_));
            return made.socket ? work(made.socket) : made.error;
        });
    }
    /// Both ways at a time.
    void transfer_much();
    void pass_urgent_byte();
    long resident_kilobytes() const {
        const std::string status = read_file(fmt::format("/proc/{}/status", network_.pid()));
        return std::stol(status.substr(status.find("VmRSS:") + 6));
    }
    BorrowedFd server() const { return server_; }
    const Container& box() const { return *box_; }

  private:
    UniqueFd server_;
    std::optional<Container> box_;
};

int error_of_read(BorrowedFd socket) {
    char byte = 0;
    return ::recv(socket.get(), &byte, 1, 0) < 0 ? errno : 0;
}

void reset(UniqueFd socket) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

// Bytes whose order shows.
std::string pattern(std::size_t length) {
    std::string text(length, '\0');
    std::uint32_t state = 1;
    for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    return text;
}

void EgressStream::transfer_much() {
    const std::string up = pattern(24 << 20);
    const std::string down = pattern((24 << 20) + 7);
    Child inside = connected([&](BorrowedFd socket) {
        Child sender = Child::run([&] { return send_text(socket, up) ? 0 : 1; });
        const std::string got = [&] {
            std::string all;
            while (all.size() < down.size()) {
                const std::string part = receive(socket);
                if (part.empty()) break;
                all += part;
            }
            return all;
        }();
        if (sender.wait() != 0) return 2;  // it uses the same socket
        ::shutdown(socket.get(), SHUT_WR);
        return got == down ? 0 : 1;
    });
    const UniqueFd connection = accept_one(server());
    Child sender = Child::run([&] { return send_text(connection, down) ? 0 : 1; });
    EXPECT_TRUE(receive_all(connection) == up);
    EXPECT_EQ(sender.wait(), 0);
    EXPECT_EQ(inside.wait(), 0);
}

/// Until the kernel makes but small ones for this user.
std::vector<Pipe> take_all_pipes() {
    std::vector<Pipe> taken;
    for (int i = 0; i < 5000; ++i) {
        taken.push_back(Pipe::make());
        ::fcntl(taken.back().read.get(), F_SETPIPE_SZ, 1 << 20);
        if (::fcntl(taken.back().read.get(), F_GETPIPE_SZ) < (32 << 10)) break;
    }
    return taken;
}

TEST_F(EgressStream, LargeTransfersArriveWhole) { transfer_much(); }

// As many containers together can use up the user's share of pipes.
TEST_F(EgressStream, LargeTransfersArriveWholeWithoutPipes) {
    const std::vector<Pipe> taken = take_all_pipes();
    transfer_much();
}

TEST_F(EgressStream, StalledConnectionsWithoutPipesTakeNoMemory) {
    const std::vector<Pipe> taken = take_all_pipes();
    const long before = resident_kilobytes();
    Child inside = box().run([&] {
        std::vector<Connection> all;
        const std::string text(1 << 20, 'x');
        for (int i = 0; i < kStalled; ++i) {
            all.push_back(connect_to(Transport::tcp, kRemoteAddress, port_of(server())));
            // Until nothing more fits anywhere.
            pollfd polled{all.back().socket.get(), POLLOUT, 0};
            while (::poll(&polled, 1, 20) == 1)
                ::send(all.back().socket.get(), text.data(), text.size(), MSG_DONTWAIT);
        }
        return 0;
    });
    std::vector<UniqueFd> accepted;
    for (int i = 0; i < kStalled; ++i) accepted.push_back(accept_one(server()));
    EXPECT_EQ(inside.wait(), 0);
    EXPECT_LT(resident_kilobytes(), before + kStalled * 32);
}

TEST_F(EgressStream, HalfCloseByTheContainerLeavesTheOtherDirection) {
    Child inside = connected([](BorrowedFd socket) {
        send_text(socket, "question");
        ::shutdown(socket.get(), SHUT_WR);
        return receive_all(socket) == "answer" ? 0 : 1;
    });
    UniqueFd connection = accept_one(server());
    EXPECT_EQ(receive_all(connection), "question");
    EXPECT_TRUE(send_text(connection, "answer"));
    connection.reset();
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(EgressStream, HalfCloseByTheServerLeavesTheOtherDirection) {
    Child inside = connected([](BorrowedFd socket) {
        if (receive_all(socket) != "greeting") return 1;
        return send_text(socket, "late") ? 0 : 2;
    });
    const UniqueFd connection = accept_one(server());
    EXPECT_TRUE(send_text(connection, "greeting"));
    ::shutdown(connection.get(), SHUT_WR);
    EXPECT_EQ(receive_all(connection), "late");
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(EgressStream, ResetByTheServerIsAReset) {
    Child inside = connected([](BorrowedFd socket) { return error_of_read(socket); });
    reset(accept_one(server()));
    EXPECT_EQ(inside.wait(), ECONNRESET);
}

TEST_F(EgressStream, DataBeforeAResetArrives) {
    Child inside = connected([](BorrowedFd socket) {
        send_text(socket, "unread");
        std::string text = receive(socket);
        while (text.size() < 6) text += receive(socket);
        return text == "answer" ? error_of_read(socket) : 1;
    });
    UniqueFd connection = accept_one(server());
    pollfd polled{connection.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&polled, 1, kDeadlineMs), 1);
    // Closing with unread bytes resets.
    send_text(connection, "answer");
    connection.reset();
    EXPECT_EQ(inside.wait(), ECONNRESET);
}

TEST_F(EgressStream, ResetByTheContainerIsAReset) {
    Child inside = connected([](BorrowedFd socket) {
        receive(socket);
        reset(duplicate(socket));
        return 0;
    });
    const UniqueFd connection = accept_one(server());
    send_text(connection, "go");
    EXPECT_EQ(inside.wait(), 0);
    EXPECT_EQ(error_of_read(connection), ECONNRESET);
}

void EgressStream::pass_urgent_byte() {
    Child inside = connected([](BorrowedFd socket) {
        send_text(socket, "before");
        ::send(socket.get(), "!", 1, MSG_OOB);
        send_text(socket, "after");
        ::shutdown(socket.get(), SHUT_WR);
        return receive_all(socket).empty() ? 0 : 1;
    });
    UniqueFd connection = accept_one(server());
    pollfd polled{connection.get(), POLLPRI, 0};
    EXPECT_EQ(::poll(&polled, 1, kDeadlineMs), 1);
    char urgent = 0;
    EXPECT_EQ(::recv(connection.get(), &urgent, 1, MSG_OOB), 1);
    EXPECT_EQ(urgent, '!');
    EXPECT_EQ(receive_all(connection), "beforeafter");
    connection.reset();
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(EgressStream, UrgentByteStaysUrgentAndStopsNothing) { pass_urgent_byte(); }

TEST_F(EgressStream, UrgentByteStaysUrgentWithoutPipes) {
    const std::vector<Pipe> taken = take_all_pipes();
    pass_urgent_byte();
}

TEST_F(EgressStream, AnUrgentByteMayBeTheLast) {
    Child inside = connected([](BorrowedFd socket) {
        ::send(socket.get(), "!", 1, MSG_OOB);
        ::shutdown(socket.get(), SHUT_WR);
        return receive_all(socket) == "heard" ? 0 : 1;
    });
    UniqueFd connection = accept_one(server());
    pollfd polled{connection.get(), POLLPRI, 0};
    EXPECT_EQ(::poll(&polled, 1, kDeadlineMs), 1);
    char urgent = 0;
    EXPECT_EQ(::recv(connection.get(), &urgent, 1, MSG_OOB), 1);
    EXPECT_EQ(receive_all(connection), "");
    send_text(connection, "heard");
    connection.reset();
    EXPECT_EQ(inside.wait(), 0);
}

/// The kind of timer that the host's connection to `port` waits for, as /proc/net/tcp shows it.
std::string timer_of_connection_to(std::uint16_t port) {
    const std::string remote = fmt::format("070200C0:{:04X} 01 ", port);  // 192.0.2.7, established
    const std::string table = read_file("/proc/self/net/tcp");
    const std::size_t found = table.find(remote);
    if (found == std::string::npos) return "no connection";
    const std::size_t queues = found + remote.size();
    return table.substr(queues + 18, 2);
}

TEST_F(EgressStream, AnIdleConnectionAnswersTheContainersKeepAlivesAndSendsItsOwn) {
    Child inside = connected([](BorrowedFd socket) {
        // Given up after two seconds without an answer to a probe.
        const int on = 1;
        for (const int option : {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT})
            ::setsockopt(socket.get(), IPPROTO_TCP, option, &on, sizeof on);
        ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        pollfd polled{socket.get(), POLLIN, 0};
        if (::poll(&polled, 1, 2500) != 0) return 1;
        send_text(socket, "still here");
        return receive(socket) == "so am I" ? 0 : 2;
    });
    const UniqueFd connection = accept_one(server());
    // The server may see the connection before the relay has it.
    constexpr const char* kKeepAlive = "02";
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds{kDeadlineMs};
    std::string timer;
    do {
        timer = timer_of_connection_to(port_of(server()));
    } while (timer != kKeepAlive && std::chrono::steady_clock::now() < deadline);
    EXPECT_EQ(timer, kKeepAlive);
    EXPECT_EQ(receive(connection), "still here");
    send_text(connection, "so am I");
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(EgressStream, ThousandConnectionsAtATime) {
    Child inside = box().run([&] {
        std::vector<Connection> all;
        for (int i = 0; i < kMany; ++i) {
            all.push_back(connect_to(Transport::tcp, kRemoteAddress, port_of(server())));
            if (!all.back().socket) return all.back().error;
            send_text(all.back().socket, std::to_string(i) + "\n");
        }
        for (int i = 0; i < kMany; ++i)
            if (receive(all[static_cast<std::size_t>(i)].socket) != std::to_string(i)) return 98;
        return 0;
    });
    std::vector<UniqueFd> accepted;
    for (int i = 0; i < kMany; ++i) accepted.push_back(accept_one(server()));
    for (const UniqueFd& connection : accepted) {
        std::string number = receive(connection);
        number.pop_back();
        EXPECT_TRUE(send_text(connection, number));
    }
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(EgressStream, PortIsUsedAnewWhileTheServersSideWaits) {
    Child inside = box().run([&] {
        for (int i = 0; i < 20; ++i) {
            const UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
            const int on = 1;
            ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            const timeval limit{2, 0};
            ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
            const linux_os::SocketAddress own{IpAddress::parse("172.17.0.2"), 40'000};
            const linux_os::SocketAddress target{IpAddress::parse(kRemoteAddress),
                                                 port_of(server())};
            if (::bind(fd.get(), own.get(), own.length()) < 0) return errno;
            if (::connect(fd.get(), target.get(), target.length()) < 0) return errno;
            // The server closes first: TIME_WAIT is on its side of the gate.
            if (receive_all(fd) != "bye") return 98;
        }
        return 0;
    });
    for (int i = 0; i < 20; ++i) {
        pollfd polled{server().get(), POLLIN, 0};
        ASSERT_EQ(::poll(&polled, 1, kDeadlineMs), 1);
        send_text(accept_one(server()), "bye");
    }
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(EgressStream, CrashOfTheNetworkProcessIsAReset) {
    Child inside = connected([](BorrowedFd socket) {
        send_text(socket, "here");
        return error_of_read(socket);
    });
    const UniqueFd connection = accept_one(server());
    EXPECT_EQ(receive(connection), "here");
    crash_network();
    EXPECT_EQ(inside.wait(), ECONNRESET);
    EXPECT_EQ(error_of_read(connection), ECONNRESET);
}

TEST_F(EgressStream, NextNetworkProcessGoesOn) {
    crash_network();
    // The SYN of the first is lost until the process is back, and comes again after a second.
    Child early = connected([](BorrowedFd) { return 0; });
    start_network();
    EXPECT_EQ(early.wait(), 0);
    EXPECT_EQ(connected([](BorrowedFd) { return 0; }).wait(), 0);
}

TEST_F(EgressStream, DetachEndsWhatTheContainerLeft) {
    Child inside = connected([](BorrowedFd socket) {
        send_text(socket, "here");
        return error_of_read(socket);
    });
    const UniqueFd connection = accept_one(server());
    EXPECT_EQ(receive(connection), "here");
    client().detach({"c1", "net0", false});
    EXPECT_EQ(error_of_read(connection), ECONNRESET);
    EXPECT_EQ(inside.wait(), ECONNRESET);
}

}  // namespace
}  // namespace berth::net
