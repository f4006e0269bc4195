// A Connection of the server on a thread of its own, with the client's end of its socket.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

#include "http/connection.h"
#include "linux/message_socket.h"

namespace berth::http {

/// Two connected sockets: the client's and the server's.
using SocketPair = std::pair<UniqueFd, UniqueFd>;

inline SocketPair unix_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw_errno("pair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

inline SocketPair tcp_pair() {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const pointer = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener.get(), pointer, size) != 0 || ::listen(listener.get(), 1) != 0 ||
        ::getsockname(listener.get(), pointer, &size) != 0 ||
        ::connect(client.get(), pointer, size) != 0)
        throw_errno("connecting over loopback");
    return {std::move(client), UniqueFd(::accept(listener.get(), nullptr, nullptr))};
}

class Served final {
  public:
    explicit Served(Handler handler, Limits limits = {}, SocketPair sockets = unix_pair())
        : handler_(std::move(handler)), limits_(limits), client_(std::move(sockets.first)) {
        connection_ = std::make_unique<Connection>(context_.get_executor(),
                                                   std::move(sockets.second), handler_, limits_);
        boost::asio::co_spawn(context_, connection_->run(),
                              [this](std::exception_ptr) { connection_.reset(); });
        thread_ = std::thread([this] { context_.run(); });
    }
    ~Served() {
        client_.reset();
        thread_.join();
    }

    void send(std::string_view bytes) {
        ASSERT_EQ(::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    /// Reads until `end` is the tail of what came, or to the end of the stream.
    std::string receive(std::string_view end = "") {
        std::string text;
        while (end.empty() || !text.ends_with(end)) {
            if (!linux_os::wait_readable(client_, 5000)) return text + "<deadline>";
            char piece[4096];
            const ssize_t size = ::recv(client_.get(), piece, sizeof piece, 0);
            if (size <= 0) return text + "<end>";
            text.append(piece, static_cast<std::size_t>(size));
        }
        return text;
    }
    void half_close() { ::shutdown(client_.get(), SHUT_WR); }
    void close() { client_.reset(); }

  private:
    boost::asio::io_context context_;
    Handler handler_;
    Limits limits_;
    UniqueFd client_;
    std::unique_ptr<Connection> connection_;
    std::thread thread_;
};

/// Answers with the method, path and body of the request.
inline async::Task<> echo(Exchange& exchange) {
    Response response;
    response.body = exchange.request().method + " " + exchange.request().path + " " +
                    co_await exchange.read_whole_body(1U << 20) + "\n";
    co_await exchange.reply(std::move(response));
}

}  // namespace berth::http
