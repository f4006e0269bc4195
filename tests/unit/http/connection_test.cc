#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <future>

#include "async/sync.h"
#include "tests/unit/http/served.h"

namespace berth::http {
namespace {
using ::testing::Test;

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

TEST(Connection, pipelined_requests_are_answered_in_order) {
    Served served(echo);
    served.send("GET /one HTTP/1.1\r\n\r\nPOST /two HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
    const std::string text = served.receive("/two abc\n");
    EXPECT_LT(text.find("GET /one"), text.find("POST /two abc"));
}

TEST(Connection, chunked_body_is_read_whole) {
    Served served(echo);
    served.send(
        "POST /x HTTP/1.1\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2;e=1\r\nde\r\n0\r\n\r\n");
    EXPECT_TRUE(has(served.receive("\n"), "200 OK"));
    served.send("GET /again HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(has(served.receive("/again \n"), "200 OK"));
}

TEST(Connection, body_that_arrives_in_pieces_is_read_whole) {
    Served served(echo);
    served.send("POST /p HTTP/1.1\r\nContent-Length: 6\r\n\r\nab");
    served.send("cd");
    served.send("ef");
    EXPECT_TRUE(has(served.receive("abcdef\n"), "POST /p abcdef"));
}

TEST(Connection, escapes_in_the_path_are_decoded) {
    Served served(echo);
    served.send("GET /images/a%2Fb:c/json?x=1 HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(has(served.receive("\n"), "HTTP/1.1 200 OK"));
    served.send("GET /a%2Fb?x=1 HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(has(served.receive(" \n"), "GET /a/b"));
}

TEST(Connection, malformed_request_gets_400_and_the_end) {
    Served served(echo);
    served.send("GET /\x01 HTTP/9\r\n\r\n");
    const std::string text = served.receive();
    EXPECT_TRUE(has(text, "HTTP/1.1 400 Bad Request\r\n")) << text;
    EXPECT_TRUE(has(text, "Connection: close")) << text;
}

TEST(Connection, bad_escape_gets_400) {
    Served served(echo);
    served.send("GET /%zz HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(has(served.receive(), "400 Bad Request"));
}

TEST(Connection, oversized_head_gets_431) {
    Limits limits;
    limits.header_bytes = 2000;
    Served served(echo, limits);
    served.send("GET / HTTP/1.1\r\nX: " + std::string(4000, 'x') + "\r\n\r\n");
    EXPECT_TRUE(has(served.receive(), "431 "));
}

TEST(Connection, head_of_half_a_megabyte_is_accepted) {
    Served served(echo);
    std::thread writer([&] {
        served.send("GET /big HTTP/1.1\r\nX-Registry-Config: " + std::string(500000, 'x') +
                    "\r\n\r\n");
    });
    EXPECT_TRUE(has(served.receive(" \n"), "GET /big"));
    writer.join();
}

TEST(Connection, head_request_gets_the_length_but_no_body) {
    Served served(echo);
    served.send("HEAD /h HTTP/1.1\r\n\r\n");
    const std::string text = served.receive("\r\n\r\n");
    EXPECT_TRUE(has(text, "Content-Length: 9\r\n")) << text;
    served.send("GET /after HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(has(served.receive("/after \n"), "HTTP/1.1 200 OK"));
}

TEST(Connection, expect_100_is_answered_when_the_body_is_read) {
    Served served(echo);
    served.send("POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EXPECT_EQ(served.receive("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    served.send("ok");
    EXPECT_TRUE(has(served.receive("ok\n"), "200 OK"));
}

TEST(Connection, http_1_0_ends_after_the_reply) {
    Served served(echo);
    served.send("GET /old HTTP/1.0\r\n\r\n");
    const std::string text = served.receive();
    EXPECT_TRUE(text.starts_with("HTTP/1.0 200 OK\r\n")) << text;
    EXPECT_TRUE(text.ends_with("GET /old \n<end>")) << text;
}

TEST(Connection, unread_body_is_drained_and_the_connection_kept) {
    Served served([](Exchange& exchange) -> async::Task<> {
        Response response;
        response.body = "no\n";
        co_await exchange.reply(std::move(response));
    });
    served.send("POST /1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    served.receive("no\n");
    served.send("GET /2 HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(has(served.receive("no\n"), "200 OK"));
}

TEST(Connection, large_unread_body_closes_after_the_reply) {
    Limits limits;
    limits.drained_bytes = 10;
    Served served(
        [](Exchange& exchange) -> async::Task<> {
            Response response;
            response.status = 404;
            co_await exchange.reply(std::move(response));
        },
        limits);
    served.send("POST /1 HTTP/1.1\r\nContent-Length: 5000\r\n\r\nhello");
    const std::string text = served.receive();
    EXPECT_TRUE(has(text, "404 Not Found")) << text;
    EXPECT_TRUE(has(text, "Connection: close")) << text;
}

TEST(Connection, body_that_ends_early_is_an_error_of_the_request) {
    std::promise<ErrorKind> seen;
    Served served([&](Exchange& exchange) -> async::Task<> {
        try {
            co_await exchange.read_whole_body(100);
        } catch (const Error& e) {
            seen.set_value(e.kind());
            throw;
        }
    });
    served.send("POST /1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe");
    served.half_close();
    EXPECT_EQ(seen.get_future().get(), ErrorKind::invalid);
}

TEST(Connection, body_broken_after_the_reply_gets_no_second_one) {
    Served served([](Exchange& exchange) -> async::Task<> {
        Response response;
        co_await exchange.reply(std::move(response));
    });
    served.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    served.half_close();
    const std::string text = served.receive();
    EXPECT_EQ(text.find("HTTP/1.1", 1), std::string::npos) << text;
}

TEST(Connection, absolute_form_of_a_target_is_its_path) {
    Served served([](Exchange& exchange) -> async::Task<> {
        Response response;
        response.body = exchange.request().path;
        co_await exchange.reply(std::move(response));
    });
    served.send("GET http://localhost/v1.41/_ping?x=/y HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_NE(served.receive("/_ping").find("\r\n\r\n/v1.41/_ping"), std::string::npos);
}

TEST(Connection, streamed_reply_flushes_its_head_and_each_chunk) {
    std::promise<void> go_on;
    Served served([&](Exchange& exchange) -> async::Task<> {
        Headers headers{{"Content-Type", "application/json"}};
        co_await exchange.stream(200, std::move(headers));
        go_on.get_future().wait();
        co_await exchange.write("{}\n");
        co_await exchange.finish();
    });
    served.send("GET /s HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(has(served.receive("\r\n\r\n"), "Transfer-Encoding: chunked\r\n"));
    go_on.set_value();
    EXPECT_EQ(served.receive("0\r\n\r\n"), "3\r\n{}\n\r\n0\r\n\r\n");
}

TEST(Connection, unfinished_stream_is_cut) {
    Served served([](Exchange& exchange) -> async::Task<> {
        co_await exchange.stream(200, Headers());
        throw Error(ErrorKind::internal, "broke");
    });
    served.send("GET /s HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(served.receive().ends_with("\r\n\r\n<end>"));
}

TEST(Connection, escaped_error_is_a_500) {
    Served served([](Exchange&) -> async::Task<> {
        throw Error(ErrorKind::internal, "broke");
        co_return;
    });
    served.send("GET /s HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(has(served.receive("broke"), "500 Internal Server Error"));
}

TEST(Connection, hijack_gives_the_socket_and_early_bytes) {
    std::promise<Hijacked> taken;
    Served served([&](Exchange& exchange) -> async::Task<> {
        taken.set_value(co_await exchange.hijack("HTTP/1.1 101 UPGRADED\r\n\r\n"));
    });
    served.send("POST /attach HTTP/1.1\r\nUpgrade: tcp\r\n\r\nearly bytes");
    EXPECT_EQ(served.receive("\r\n\r\n"), "HTTP/1.1 101 UPGRADED\r\n\r\n");
    const Hijacked hijacked = taken.get_future().get();
    EXPECT_EQ(hijacked.early, "early bytes");
    ASSERT_EQ(::send(hijacked.socket.get(), "out", 3, 0), 3);
    EXPECT_EQ(served.receive("out"), "out");
    served.half_close();
    char byte = 0;
    EXPECT_EQ(::recv(hijacked.socket.get(), &byte, 1, 0), 0);
    ASSERT_EQ(::send(hijacked.socket.get(), "more", 4, 0), 4);
    EXPECT_EQ(served.receive("more"), "more");
}

void expect_cancelled_on_close(SocketPair sockets) {
    std::promise<void> begun;
    std::promise<bool> cancelled;
    Served served(
        [&](Exchange& exchange) -> async::Task<> {
            auto wait = [&]() -> async::Task<> {
                begun.set_value();
                co_await async::sleep_for(std::chrono::hours(1));
            };
            try {
                co_await exchange.cancel_on_disconnect(wait());
            } catch (...) {
                cancelled.set_value(async::is_cancellation(std::current_exception()));
                throw;
            }
        },
        {}, std::move(sockets));
    served.send("GET /logs HTTP/1.1\r\n\r\n");
    begun.get_future().wait();
    served.close();
    EXPECT_TRUE(cancelled.get_future().get());
}

TEST(Connection, client_that_goes_away_cancels_the_watched_task) {
    expect_cancelled_on_close(unix_pair());
}

TEST(Connection, tcp_client_that_goes_away_cancels_the_watched_task) {
    expect_cancelled_on_close(tcp_pair());
}

TEST(Connection, requests_over_tcp_are_answered) {
    Served served(echo, {}, tcp_pair());
    served.send("GET /tcp HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(has(served.receive("/tcp \n"), "200 OK"));
}

TEST(Connection, half_closed_client_is_still_served) {
    async::Event go_on;
    Served served([&](Exchange& exchange) -> async::Task<> {
        auto work = [&]() -> async::Task<> {
            co_await async::sleep_for(std::chrono::milliseconds(20));
            Response response;
            response.body = "late";
            co_await exchange.reply(std::move(response));
        };
        co_await exchange.cancel_on_disconnect(work());
    });
    served.send("GET /x HTTP/1.1\r\n\r\n");
    served.half_close();
    EXPECT_TRUE(has(served.receive(), "late"));
}

}  // namespace
}  // namespace berth::http
