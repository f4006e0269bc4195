#include "async/message_channel.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "async/fd_wait.h"
#include "async/sync.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"
#include "tests/unit/async/run.h"

namespace berth::async {
namespace {
using nlohmann::json;

class MessageChannelTest : public ::testing::Test {
  protected:
    MessageChannelTest() {
        auto [ours, theirs] = linux_os::message_socket_pair();
        peer_ = std::move(theirs);
        MessageChannel::Handlers handlers;
        handlers.on_event = [this](ChannelMessage message) {
            events_.push_back(message.body().at("type"));
            arrived_.set();
        };
        handlers.on_closed = [this] { gone_.set(); };
        channel_ = std::make_unique<MessageChannel>(context_.get_executor(), std::move(ours),
                                                    "the peer", std::move(handlers));
    }
    json receive() { return json::parse(linux_os::receive_message(peer_).message.text); }
    void reply(const json& message) { linux_os::send_message(peer_, message.dump()); }

    boost::asio::io_context context_;
    UniqueFd peer_;
    std::vector<std::string> events_;
    Event arrived_;
    Event gone_;
    std::unique_ptr<MessageChannel> channel_;
};

TEST_F(MessageChannelTest, replies_are_matched_by_seq) {
    TaskGroup group(context_.get_executor());
    std::vector<std::string> answers;
    auto ask = [&](std::string type) -> Task<> {
        json message{{"type", type}};
        const auto answer = co_await channel_->request(std::move(message));
        answers.push_back(answer.body().at("echo"));
    };
    group.spawn("a", ask("first"));
    group.spawn("b", ask("second"));
    auto scene = [&]() -> Task<> {
        co_await wait_readable(peer_);
        const json one = receive();
        co_await wait_readable(peer_);
        const json two = receive();
        EXPECT_EQ(one.at("v"), 1);
        for (const json& request : {two, one})
            reply({{"v", 1},
                   {"type", "reply"},
                   {"seq", request.at("seq")},
                   {"echo", request.at("type")}});
        co_await group.wait_empty();
    };
    run_in(context_, scene());
    EXPECT_EQ(answers, (std::vector<std::string>{"second", "first"}));
}

TEST_F(MessageChannelTest, a_message_larger_than_a_record_arrives_whole) {
    const std::string big(1U << 20, 'x');
    auto scene = [&]() -> Task<> {
        reply({{"v", 1}, {"type", "reply"}, {"seq", 1}, {"echo", big}});
        json message{{"type", "publish"}, {"bindings", big}};
        std::vector<BorrowedFd> fds(linux_os::kMaxMessageFds, peer_.borrow());
        const auto answer = co_await channel_->request(std::move(message), std::move(fds));
        EXPECT_EQ(answer.body().at("echo"), big);
    };
    run_in(context_, scene());
    const auto received = linux_os::receive_message(peer_);
    EXPECT_EQ(json::parse(received.message.text).at("bindings"), big);
    EXPECT_EQ(received.message.fds.size(), linux_os::kMaxMessageFds);
}

TEST_F(MessageChannelTest, error_reply_is_thrown_with_its_kind) {
    auto scene = [&]() -> Task<> {
        reply({{"v", 1},
               {"type", "reply"},
               {"seq", 1},
               {"error", {{"kind", "not_found"}, {"message", "no such thing"}, {"errno", 2}}}});
        json message{{"type", "state"}};
        co_await channel_->request(std::move(message));
    };
    try {
        run_in(context_, scene());
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::not_found);
        EXPECT_EQ(e.message(), "no such thing");
        EXPECT_EQ(e.errno_value(), 2);
    }
}

TEST_F(MessageChannelTest, pending_request_fails_when_the_peer_goes) {
    auto scene = [&]() -> Task<> {
        auto hang_up = [&]() -> Task<> {
            co_await wait_readable(peer_);
            receive();
            peer_.reset();
        };
        TaskGroup group(context_.get_executor());
        group.spawn("peer", hang_up());
        json message{{"type", "start"}};
        try {
            co_await channel_->request(std::move(message));
            ADD_FAILURE();
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::unavailable);
        }
        EXPECT_EQ(
            co_await gone_.wait_until(std::chrono::steady_clock::now() + std::chrono::seconds(5)),
            Wake::notified);
        EXPECT_TRUE(channel_->closed());
    };
    run_in(context_, scene());
}

TEST_F(MessageChannelTest, events_go_to_the_handler_and_descriptors_arrive) {
    auto scene = [&]() -> Task<> {
        Pipe pipe = Pipe::make();
        linux_os::send_message(peer_, R"({"v":1,"type":"exit"})", {pipe.read.borrow()});
        co_await arrived_.wait();
    };
    run_in(context_, scene());
    EXPECT_EQ(events_, std::vector<std::string>{"exit"});
}

TEST(WaitExit, ends_when_the_child_does) {
    boost::asio::io_context context;
    linux_os::SpawnRequest request;
    request.program = "/bin/true";
    request.arguments = {"true"};
    const auto child = linux_os::spawn(request);
    run_in(context, wait_exit(child));
    EXPECT_EQ(child.try_reap(), linux_os::ExitStatus{0});
}

}  // namespace
}  // namespace berth::async
