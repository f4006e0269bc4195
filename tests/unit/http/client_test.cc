#include "http/client.h"

#include <gtest/gtest.h>
#include <sys/un.h>

#include <cstring>

#include "tests/unit/http/served.h"

namespace berth::http {
namespace {

/// A Server on an unix socket in a temporary directory, on a thread of its own.
class ClientTest : public ::testing::Test {
  protected:
    void serve(Handler handler) {
        char name[] = "/tmp/berth-http-XXXXXX";
        directory_ = ::mkdtemp(name);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, path().c_str());
        UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        ASSERT_EQ(::listen(listener.get(), 16), 0);
        server_ = std::make_unique<Server>(context_.get_executor(), std::move(handler));
        server_->listen(std::move(listener));
        thread_ = std::thread([this] { context_.run(); });
        client_ = std::make_unique<Client>("unix://" + path());
    }
    void TearDown() override {
        if (!thread_.joinable()) return;
        boost::asio::co_spawn(
            context_, server_->stop(std::chrono::steady_clock::now() + std::chrono::seconds(2)),
            boost::asio::detached);
        thread_.join();
        ::unlink(path().c_str());
        ::rmdir(directory_.c_str());
    }
    std::string path() const { return directory_ + "/s"; }
    ClientResponse get(const std::string& target) {
        ClientRequest request;
        request.target = target;
        return client_->send(request);
    }

    boost::asio::io_context context_;
    std::string directory_;
    std::unique_ptr<Server> server_;
    std::thread thread_;
    std::unique_ptr<Client> client_;
};

TEST_F(ClientTest, connection_is_kept_for_the_next_request) {
    serve(echo);
    EXPECT_EQ(get("/a").read_all(), "GET /a \n");
    EXPECT_EQ(get("/b").read_all(), "GET /b \n");
    EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(ClientTest, chunked_upload_arrives) {
    serve(echo);
    ClientRequest request;
    request.method = "POST";
    request.target = "/up";
    int left = 3;
    request.body_source = [&](std::span<char> into) -> std::size_t {
        if (left-- == 0) return 0;
        std::memcpy(into.data(), "abc", 3);
        return 3;
    };
    EXPECT_EQ(client_->send(request).read_all(), "POST /up abcabcabc\n");
}

TEST_F(ClientTest, stream_is_read_as_it_comes) {
    serve([](Exchange& exchange) -> async::Task<> {
        co_await exchange.stream(200, Headers());
        co_await exchange.write("one\n");
        co_await exchange.write("two\n");
        co_await exchange.finish();
    });
    EXPECT_EQ(get("/s").read_all(), "one\ntwo\n");
}

TEST_F(ClientTest, cut_stream_is_an_error) {
    serve([](Exchange& exchange) -> async::Task<> {
        co_await exchange.stream(200, Headers());
        co_await exchange.write("one\n");
    });
    EXPECT_THROW(get("/s").read_all(), Error);
}

TEST_F(ClientTest, upgrade_hands_over_the_socket) {
    serve([](Exchange& exchange) -> async::Task<> {
        const auto hijacked = co_await exchange.hijack("HTTP/1.1 101 UPGRADED\r\n\r\nearly");
        ::send(hijacked.socket.get(), "late", 4, MSG_NOSIGNAL);
    });
    ClientRequest request;
    request.method = "POST";
    auto response = client_->send(request);
    EXPECT_EQ(response.status(), 101);
    Upgraded upgraded = response.upgrade();
    char rest[16];
    while (const ssize_t size = ::recv(upgraded.socket.get(), rest, sizeof rest, 0))
        upgraded.early.append(rest, static_cast<std::size_t>(size));
    EXPECT_EQ(upgraded.early, "earlylate");
}

TEST_F(ClientTest, absent_server_is_unavailable) {
    Client client("unix:///nonexistent/socket");
    try {
        client.send({});
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unavailable);
        EXPECT_EQ(e.message(),
                  "connecting to unix:///nonexistent/socket: No such file or directory");
    }
    EXPECT_THROW(Client("http://x"), Error);
}

}  // namespace
}  // namespace berth::http
