#include "grpc/session.h"

#include <gtest/gtest.h>

namespace berth::grpc {
namespace {

/// A client and a server with nothing but their bytes between them.
class Sessions : public testing::Test {
  protected:
    void exchange() {
        for (bool moved = true; moved;) {
            const std::string there = client.output();
            if (!there.empty()) server.feed(there);
            const std::string back = server.output();
            if (!back.empty()) client.feed(back);
            moved = !there.empty() || !back.empty();
        }
    }
    CallPointer begin() {
        const auto call = client.request("/a.B/C", {{"name", "value"}});
        exchange();
        return call;
    }

    std::vector<CallPointer> calls;  // that the server got
    Session client{Role::client, {{}, [] {}}};
    Session server{Role::server, {[this](CallPointer call) { calls.push_back(call); }, [] {}}};
};

TEST_F(Sessions, a_call_arrives_with_its_metadata) {
    begin();
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0]->method, "/a.B/C");
    EXPECT_EQ(find(calls[0]->metadata, "name"), "value");
    EXPECT_FALSE(calls[0]->remote_done);
}

TEST_F(Sessions, messages_go_both_ways_and_the_status_last) {
    const auto call = begin();
    client.send(call, "one");
    client.send(call, "");
    client.finish(call, std::nullopt);
    exchange();
    EXPECT_EQ(server.take(calls[0]), "one");
    EXPECT_EQ(server.take(calls[0]), "");
    EXPECT_EQ(server.take(calls[0]), std::nullopt);
    EXPECT_TRUE(calls[0]->remote_done);
    server.send(calls[0], "reply");
    server.finish(calls[0], Status{Code::ok, ""});
    exchange();
    EXPECT_EQ(client.take(call), "reply");
    EXPECT_TRUE(call->remote_done);
    EXPECT_EQ(find(call->response, "grpc-status"), "0");
    EXPECT_TRUE(call->closed);
}

TEST_F(Sessions, a_failure_without_a_message_comes_as_trailers_only) {
    const auto call = begin();
    server.finish(calls[0], Status{Code::not_found, "no \n such"});
    exchange();
    EXPECT_EQ(find(call->response, "grpc-status"), "5");
    EXPECT_EQ(find(call->response, "grpc-message"), "no %0A such");
    EXPECT_FALSE(call->failure);
}

TEST_F(Sessions, a_message_larger_than_the_window_arrives) {
    const auto call = begin();
    const std::string large(9U << 20, 'x');
    client.send(call, large);
    exchange();
    EXPECT_EQ(server.take(calls[0]), large);
}

TEST_F(Sessions, a_reader_that_takes_nothing_stops_the_sender) {
    const auto call = begin();
    for (int i = 0; i < 40; ++i) client.send(call, std::string(100'000, 'x'));
    exchange();
    const std::size_t unsent = call->outgoing.size() - call->sent;
    EXPECT_GT(unsent, 2'000'000U);
    for (int i = 0; i < 40; ++i) {
        EXPECT_TRUE(server.take(calls[0])) << i;
        exchange();
    }
    EXPECT_TRUE(call->outgoing.empty());
}

TEST_F(Sessions, a_message_over_the_limit_ends_the_call) {
    const auto call = begin();
    const std::string head{'\0', '\x01', '\0', '\0', '\x01'};  // one byte more than 16 MiB
    call->outgoing = head;
    client.send(call, "");
    exchange();
    EXPECT_TRUE(calls[0]->failure);
    EXPECT_TRUE(call->closed);
}

TEST_F(Sessions, a_reset_reaches_the_other_side) {
    const auto call = begin();
    client.reset(call);
    exchange();
    EXPECT_TRUE(calls[0]->closed);
    EXPECT_TRUE(calls[0]->cancel.cancelled());
    EXPECT_EQ(calls[0]->failure.value().kind(), ErrorKind::cancelled);
}

TEST_F(Sessions, the_end_of_the_connection_ends_its_calls) {
    const auto call = begin();
    server.end();
    EXPECT_TRUE(calls[0]->closed);
    EXPECT_TRUE(calls[0]->cancel.cancelled());
    EXPECT_FALSE(call->closed);
}

TEST_F(Sessions, bytes_that_are_no_http2_are_refused) {
    EXPECT_THROW(server.feed("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Error);
}

}  // namespace
}  // namespace berth::grpc
