#include "buildkit/progress.h"

#include <gtest/gtest.h>

#include "buildkit/messages.h"
#include "tests/unit/async/run.h"

namespace berth::buildkit {
namespace {

using grpc::WireReader;

/// The texts of one field in each of the messages of one kind.
std::vector<std::string> texts_of(std::string_view response, unsigned kind, unsigned field) {
    std::vector<std::string> texts;
    for (WireReader reader(response); reader.next();)
        if (reader.field() == kind) texts.push_back(decode_text(reader.text(), field));
    return texts;
}

std::optional<std::string> next(Progress& progress) {
    boost::asio::io_context context;
    std::optional<std::string> message;
    const auto read = [&]() -> async::Task<> { message = co_await progress.next(); };
    async::run_in(context, read());
    return message;
}

TEST(Progress, a_reader_gets_all_that_happened_at_once) {
    Progress progress;
    const Vertex vertex = progress.begin("[1/1] RUN x");
    progress.log(vertex, 1, "line\n");
    progress.complete(vertex);
    progress.finish("");
    const auto message = next(progress);
    ASSERT_TRUE(message);
    EXPECT_EQ(texts_of(*message, 1, 3), (std::vector<std::string>{"[1/1] RUN x", "[1/1] RUN x"}));
    EXPECT_EQ(texts_of(*message, 3, 4), (std::vector<std::string>{"line\n"}));
    EXPECT_FALSE(next(progress));
}

TEST(Progress, open_steps_end_with_the_build) {
    Progress progress;
    progress.begin("a");
    next(progress);
    progress.finish("it failed");
    EXPECT_EQ(texts_of(next(progress).value(), 1, 7), (std::vector<std::string>{"it failed"}));
}

TEST(Progress, output_that_nobody_takes_is_clipped) {
    Progress progress;
    const Vertex vertex = progress.begin("a");
    for (int i = 0; i < 20; ++i) progress.log(vertex, 1, std::string(1U << 20, 'x'));
    progress.finish("");
    const auto message = next(progress).value();
    EXPECT_LT(message.size(), 5U << 20);
    EXPECT_NE(message.find("output clipped"), std::string::npos);
}

}  // namespace
}  // namespace berth::buildkit
