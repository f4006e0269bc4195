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

std::optional<std::string> next(const std::shared_ptr<ProgressReader>& reader) {
    boost::asio::io_context context;
    std::optional<std::string> message;
    const auto read = [&]() -> async::Task<> { message = co_await reader->next(); };
    async::run_in(context, read());
    return message;
}

TEST(Progress, a_reader_gets_all_that_happened_at_once) {
    Progress progress;
    const Vertex vertex = progress.begin("[1/1] RUN x");
    progress.log(vertex, 1, "line\n");
    progress.complete(vertex);
    progress.finish("");
    const auto reader = progress.read();
    const auto message = next(reader);
    ASSERT_TRUE(message);
    EXPECT_EQ(texts_of(*message, 1, 3), (std::vector<std::string>{"[1/1] RUN x", "[1/1] RUN x"}));
    EXPECT_EQ(texts_of(*message, 3, 4), (std::vector<std::string>{"line\n"}));
    EXPECT_FALSE(next(reader));
}

TEST(Progress, each_reader_gets_everything) {
    Progress progress;
    const auto early = progress.read();
    const Vertex vertex = progress.begin("a");
    next(early);
    progress.log(vertex, 1, "line\n");
    const auto late = progress.read();
    EXPECT_EQ(texts_of(next(early).value(), 3, 4), (std::vector<std::string>{"line\n"}));
    const std::string all = next(late).value();
    EXPECT_EQ(texts_of(all, 1, 3), (std::vector<std::string>{"a"}));
    EXPECT_EQ(texts_of(all, 3, 4), (std::vector<std::string>{"line\n"}));
}

TEST(Progress, the_kept_log_has_all_steps_whatever_they_say) {
    Progress progress;
    for (const std::string name : {"a", "b"}) {
        const Vertex vertex = progress.begin(name);
        for (int i = 0; i < 5; ++i) progress.log(vertex, 1, std::string(1U << 20, 'x'));
        progress.complete(vertex);
    }
    EXPECT_LE(progress.kept().size(), 4U << 20);
    std::vector<std::string> names;
    for (const std::string& message : read_log(progress.kept()))
        for (const std::string& name : texts_of(message, 1, 3)) names.push_back(name);
    EXPECT_EQ(names, (std::vector<std::string>{"a", "a", "b", "b"}));
}

TEST(Progress, steps_are_counted) {
    Progress progress;
    const Vertex cached = progress.begin("a");
    progress.cached(cached);
    progress.complete(cached);
    progress.complete(progress.begin("b"), "failed");
    progress.warn({"w"});
    const StepCounts counts = progress.counts();
    EXPECT_EQ((std::vector{counts.total, counts.cached, counts.completed, counts.warnings}),
              (std::vector{2, 1, 1, 1}));
}

TEST(Progress, open_steps_end_with_the_build) {
    Progress progress;
    const auto reader = progress.read();
    progress.begin("a");
    next(reader);
    progress.finish("it failed");
    EXPECT_EQ(texts_of(next(reader).value(), 1, 7), (std::vector<std::string>{"it failed"}));
}

TEST(Progress, output_that_nobody_takes_is_clipped) {
    Progress progress;
    const auto reader = progress.read();
    const Vertex vertex = progress.begin("a");
    for (int i = 0; i < 20; ++i) progress.log(vertex, 1, std::string(1U << 20, 'x'));
    progress.finish("");
    const auto message = next(reader).value();
    EXPECT_LT(message.size(), 5U << 20);
    EXPECT_NE(message.find("output clipped"), std::string::npos);
}

}  // namespace
}  // namespace berth::buildkit
