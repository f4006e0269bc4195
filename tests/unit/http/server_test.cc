#include "http/server.h"

#include <gtest/gtest.h>
#include <sys/un.h>

#include "tests/unit/http/served.h"

namespace berth::http {
namespace {

/// A client that says what the test makes it say.
class RawClient final {
  public:
    RawClient(const sockaddr_un& address, socklen_t size)
        : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
            throw_errno("connecting");
    }
    void send(std::string_view bytes) {
        EXPECT_EQ(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    /// What comes next; empty at the end of the connection.
    std::string receive() {
        if (!linux_os::wait_readable(socket_, 5000)) return "<deadline>";
        char piece[4096];
        const ssize_t size = ::recv(socket_.get(), piece, sizeof piece, 0);
        return size <= 0 ? "" : std::string(piece, static_cast<std::size_t>(size));
    }

  private:
    UniqueFd socket_;
};

/// A Server for two connections, on a thread of its own.
class ServerTest : public ::testing::Test {
  protected:
    ServerTest() {
        UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        address_.sun_family = AF_UNIX;
        auto* const pointer = reinterpret_cast<sockaddr*>(&address_);
        // No path: the kernel chooses an abstract one.
        if (::bind(listener.get(), pointer, sizeof(sa_family_t)) != 0 ||
            ::getsockname(listener.get(), pointer, &size_) != 0 ||
            ::listen(listener.get(), 16) != 0)
            throw_errno("listening");
        Limits limits;
        limits.connections = 2;
        server_ = std::make_unique<Server>(context_.get_executor(), echo, limits);
        server_->listen(std::move(listener));
        thread_ = std::thread([this] { context_.run(); });
    }
    ~ServerTest() override {
        boost::asio::co_spawn(
            context_, server_->stop(std::chrono::steady_clock::now() + std::chrono::seconds(2)),
            boost::asio::detached);
        thread_.join();
    }
    RawClient connect() { return {address_, size_}; }

    boost::asio::io_context context_;
    sockaddr_un address_{};
    socklen_t size_ = sizeof address_;
    std::unique_ptr<Server> server_;
    std::thread thread_;
};

TEST_F(ServerTest, past_the_limit_the_client_that_is_silent_longest_gives_way) {
    static constexpr std::string_view kRequest = "GET /x HTTP/1.1\r\n\r\n";
    RawClient silent = connect();
    silent.send("GET /half HTT");
    RawClient busy = connect();
    for (int turn = 0; turn < 3; ++turn) {
        busy.send(kRequest);
        EXPECT_NE(busy.receive().find("200 OK"), std::string::npos);
    }
    RawClient newest = connect();
    newest.send(kRequest);
    EXPECT_NE(newest.receive().find("200 OK"), std::string::npos);
    EXPECT_EQ(silent.receive(), "");
    busy.send(kRequest);
    EXPECT_NE(busy.receive().find("200 OK"), std::string::npos);
}

}  // namespace
}  // namespace berth::http
