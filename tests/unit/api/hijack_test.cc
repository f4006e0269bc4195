#include "api/hijack.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

namespace berth::api {
namespace {

class UntilTaken : public ::testing::Test {
  protected:
    UntilTaken() {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        ours_ = UniqueFd(ends[0]);
        peers_ = UniqueFd(ends[1]);
        EXPECT_EQ(::send(ours_.get(), "head", 4, 0), 4);
        boost::asio::co_spawn(context_, until_taken(ours_),
                              [this](std::exception_ptr) { over_ = true; });
    }

    boost::asio::io_context context_;
    UniqueFd ours_;
    UniqueFd peers_;
    bool over_ = false;
};

TEST_F(UntilTaken, waits_for_the_peer_to_read) {
    context_.run_one();
    EXPECT_FALSE(over_);
    char head[16];
    EXPECT_EQ(::recv(peers_.get(), head, sizeof head, 0), 4);
    context_.run();
    EXPECT_TRUE(over_);
}

TEST_F(UntilTaken, does_not_wait_for_ever) {
    context_.run();
    EXPECT_TRUE(over_);
}

}  // namespace
}  // namespace berth::api
