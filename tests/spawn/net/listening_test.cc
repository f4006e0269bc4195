// A published port refuses exactly while nothing listens inside the container.
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/socket.h>

#include <filesystem>
#include <thread>

#include "base/file.h"
#include "net/container_side.h"
#include "net/netlink.h"
#include "network_world.h"

namespace berth::net {
namespace {

constexpr std::uint16_t kInside = 8080;

class Listening : public NetworkWorld {
  protected:
    std::uint16_t publish_port(const Container& box) {
        return publish(box, {.container_ip = "172.17.0.2", .container_port = kInside})[0].host_port;
    }
    /// A server that listens when it is told to; "x" makes it close.
    class Server final {
      public:
        explicit Server(const Container& box, std::string address = "0.0.0.0")
            : child_(box.run([this, address = std::move(address)] {
                  orders_.write.reset();
                  UniqueFd listener;
                  char order = 0;
                  while (::read(orders_.read.get(), &order, 1) == 1) {
                      listener.reset();
                      if (order == 'l') listener = listen_tcp(address, kInside);
                      (void)!::write(answers_.write.get(), "d", 1);
                  }
                  return 0;
              })) {}
        void listen() { order('l'); }
        void close() { order('x'); }

      private:
        void order(char what) {
            char done = 0;
            (void)!::write(orders_.write.get(), &what, 1);
            EXPECT_EQ(::read(answers_.read.get(), &done, 1), 1);
        }
        Pipe orders_ = Pipe::make();
        Pipe answers_ = Pipe::make();
        Child child_;
    };
    static int attempt(std::uint16_t port) {
        return connect_to(Transport::tcp, "127.0.0.1", port).error;
    }
    /// Waits until a connection attempt ends with `error`; false at the deadline.
    static bool becomes(int error, std::uint16_t port) {
        const auto deadline =
            std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
        while (attempt(port) != error)
            if (std::chrono::steady_clock::now() > deadline) return false;
        return true;
    }
};

TEST_F(Listening, APortWithoutServerIsRefused) {
    const Container box = attached_container("c1", 2);
    const std::uint16_t port = publish_port(box);
    EXPECT_EQ(attempt(port), ECONNREFUSED);
    EXPECT_EQ(connect_to(Transport::tcp, "::1", port).error, ECONNREFUSED);
    EXPECT_EQ(connect_to(Transport::tcp, kHostAddress, port).error, ECONNREFUSED);
}

TEST_F(Listening, BeginsWithTheServer) {
    const Container box = attached_container("c1", 2);
    const std::uint16_t port = publish_port(box);
    Server server(box);
    server.listen();
    EXPECT_TRUE(becomes(0, port));
}

TEST_F(Listening, BeginsWithAServerOfBothFamilies) {
    const Container box = attached_container("c1", 2);
    const std::uint16_t port = publish_port(box);
    Server server(box, "::");
    server.listen();
    EXPECT_TRUE(becomes(0, port));
}

TEST_F(Listening, AServerOnTheContainersLoopbackIsNotReachable) {
    const Container box = attached_container("c1", 2);
    const std::uint16_t port = publish_port(box);
    Server server(box, "127.0.0.1");
    server.listen();
    EXPECT_EQ(attempt(port), ECONNREFUSED);
}

TEST_F(Listening, EndsWithTheServerAndComesBack) {
    const Container box = attached_container("c1", 2);
    Server server(box);
    server.listen();
    const std::uint16_t port = publish_port(box);
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(becomes(0, port));
        server.close();
        EXPECT_TRUE(becomes(ECONNREFUSED, port));
        server.listen();
    }
    EXPECT_TRUE(becomes(0, port));
}

TEST_F(Listening, APortThatRefusesIsStillTaken) {
    const Container box = attached_container("c1", 2);
    Server server(box);
    server.listen();
    const std::uint16_t port = publish_port(box);
    EXPECT_THAT(error_of([&] { listen_tcp("0.0.0.0", port); }), testing::HasSubstr("in use"));
    server.close();
    EXPECT_TRUE(becomes(ECONNREFUSED, port));
    EXPECT_THAT(error_of([&] { listen_tcp("0.0.0.0", port); }), testing::HasSubstr("in use"));
    EXPECT_THAT(error_of([&] { listen_tcp("127.0.0.1", port); }), testing::HasSubstr("in use"));
}

TEST_F(Listening, WithoutAKnownProcessTheClientIsReset) {
    ensure(default_network());
    const Container box = container("c1");
    client().attach(attachment("c1", 2), box.network_namespace());
    const Connection made = connect_to(Transport::tcp, "127.0.0.1", publish_port(box));
    ASSERT_TRUE(made.socket);
    char byte = 0;
    EXPECT_EQ(::recv(made.socket.get(), &byte, 1, 0), -1);
    EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(Listening, IsFollowedAgainAfterACrash) {
    const Container box = attached_container("c1", 2);
    const std::uint16_t port = publish_port(box);
    crash_network();
    start_network();
    Server server(box);
    server.listen();
    EXPECT_TRUE(becomes(0, port));
}

TEST_F(Listening, TheEndOfTheContainerFreesItsNamespace) {
    std::uint16_t port = 0;
    {
        const Container box = attached_container("c1", 2);
        Server server(box);
        server.listen();
        port = publish_port(box);
        EXPECT_TRUE(becomes(0, port));
    }
    EXPECT_TRUE(becomes(ECONNREFUSED, port));
    // Nothing of the network process keeps it: the other end of its cable goes with it.
    Child looking = Child::run([&] {
        if (::setns(holder_->process().fd().get(), CLONE_NEWUSER | CLONE_NEWNET) < 0) return 2;
        const auto deadline =
            std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
        while (link_index(port_name("c1", "net0")) != 0)
            if (std::chrono::steady_clock::now() > deadline) return 1;
        return 0;
    });
    EXPECT_EQ(looking.wait(), 0);
}

TEST_F(Listening, NothingRunsWhileServersListen) {
    const Container box = attached_container("c1", 2);
    Server server(box);
    server.listen();
    EXPECT_TRUE(becomes(0, publish_port(box)));
    const auto switches = [&] {
        std::int64_t sum = 0;
        for (const auto& entry :
             std::filesystem::directory_iterator(fmt::format("/proc/{}/task", network_.pid()))) {
            const std::string status = read_file((entry.path() / "status").string());
            sum += std::stoll(status.substr(status.find("\nvoluntary_ctxt_switches:") + 25));
        }
        return sum;
    };
    // Late news of the connection above may come first; a look-out every few ms would never end.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
    for (std::int64_t before = -1; before != switches();) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline);
        before = switches();
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
}

}  // namespace
}  // namespace berth::net
