// Requests that try to confuse the server about where a message ends, or to hold it for ever.
#include "served.h"

namespace berth::http {
namespace {

async::Task<> echo_body(Exchange& exchange) {
    Response response;
    response.body = exchange.request().method + " " + exchange.request().path + " <" +
                    co_await exchange.read_whole_body(1000) + ">\n";
    co_await exchange.reply(std::move(response));
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

/// A message must be refused as a whole, and nothing after it may be taken for a request.
class Refused : public testing::TestWithParam<const char*> {};

TEST_P(Refused, and_what_follows_is_not_a_request) {
    Served served(echo_body);
    served.send(std::string(GetParam()) + "GET /smuggled HTTP/1.1\r\n\r\n");
    served.half_close();
    const std::string text = served.receive();
    EXPECT_FALSE(contains(text, "/smuggled")) << text;
    EXPECT_TRUE(contains(text, "HTTP/1.1 400 ") || contains(text, "HTTP/1.1 500 ")) << text;
}

INSTANTIATE_TEST_SUITE_P(
    Lengths, Refused,
    testing::Values(
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\na",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nX: a\r\n Transfer-Encoding: chunked\r\nContent-Length: +5\r\n\r\n"));

INSTANTIATE_TEST_SUITE_P(
    Chunks, Refused,
    testing::Values(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\na\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"));

TEST(Connection, a_head_that_never_ends_is_dropped) {
    Limits limits;
    limits.head_time = std::chrono::milliseconds(50);
    Served served(echo_body, limits);
    served.send("GET / HTTP/1.1\r\nX: ");
    EXPECT_EQ(served.receive(), "<end>");
}

TEST(Connection, a_head_in_pieces_is_read_within_its_time) {
    Served served(echo_body);
    for (const char* piece : {"GE", "T /piec", "es HTTP/1.1\r", "\nX: y\r\n\r", "\n"})
        served.send(piece);
    EXPECT_TRUE(contains(served.receive(">\n"), "GET /pieces"));
}

TEST(Connection, the_time_of_a_head_does_not_limit_what_is_between_requests) {
    Limits limits;
    limits.head_time = std::chrono::milliseconds(1);
    Served served(echo_body, limits);
    for (const char* path : {"/a", "/b"}) {
        served.send("GET " + std::string(path) + " HTTP/1.1\r\n\r\n");
        EXPECT_TRUE(contains(served.receive(">\n"), "GET " + std::string(path)));
    }
}

TEST(Connection, a_thousand_header_fields_of_one_name_are_read) {
    Served served(echo_body);
    std::string head = "GET /many HTTP/1.1\r\n";
    for (int i = 0; i < 1000; ++i) head += "X: y\r\n";
    served.send(head + "\r\n");
    EXPECT_TRUE(contains(served.receive(">\n"), "GET /many"));
}

TEST(MessageParser, an_end_before_any_byte_is_an_error) {
    MessageParser parser(MessageParser::Kind::response, 1000);
    EXPECT_THROW(parser.put_end(), Error);
}

}  // namespace
}  // namespace berth::http
