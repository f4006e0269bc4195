#include "engine/events.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::engine {
namespace {

Event container_event(const std::string& action, std::int64_t second) {
    Event event;
    event.type = "container";
    event.action = action;
    event.actor = "abc";
    event.attributes = {{"name", "web"}, {"image", "alpine:3"}, {"team", "a"}};
    event.at = {second * 1'000'000'000};
    return event;
}

/// What a stream gives before it ends.
std::vector<std::string> actions(boost::asio::io_context& io, EventStream& stream) {
    std::vector<std::string> seen;
    boost::asio::co_spawn(
        io,
        [&]() -> async::Task<> {
            while (const std::optional<Event> event = co_await stream.next())
                seen.push_back(event->action);
        },
        boost::asio::detached);
    io.run();
    io.restart();
    return seen;
}

TEST(events, a_past_window_replays_the_ring_and_ends) {
    boost::asio::io_context io;
    Events events(io);
    for (int i = 1; i <= 5; ++i) events.publish(container_event("e" + std::to_string(i), i));
    const auto stream = events.subscribe({.since = "2", .until = "4", .filters = {}});
    EXPECT_EQ(actions(io, *stream), (std::vector<std::string>{"e2", "e3", "e4"}));
}

TEST(events, the_ring_keeps_256) {
    boost::asio::io_context io;
    Events events(io);
    for (int i = 1; i <= 300; ++i) events.publish(container_event("e", i));
    const auto stream = events.subscribe({.since = "1", .until = "400", .filters = {}});
    EXPECT_EQ(actions(io, *stream).size(), 256U);
}

TEST(events, subscribers_are_forgotten_with_their_stream) {
    boost::asio::io_context io;
    Events events(io);
    {
        const auto stream = events.subscribe({});
        EXPECT_EQ(events.listeners(), 1U);
    }
    EXPECT_EQ(events.listeners(), 0U);
}

TEST(events, filters_match_type_action_names_and_labels) {
    const Event event = container_event("exec_start: sh", 1);
    EXPECT_TRUE(matches(Filters::parse(R"({"event":["exec_start"]})"), event));
    EXPECT_TRUE(matches(Filters::parse(R"({"container":["web"],"label":["team=a"]})"), event));
    EXPECT_TRUE(matches(Filters::parse(R"({"image":["alpine"]})"), event));
    EXPECT_FALSE(matches(Filters::parse(R"({"image":["debian"]})"), event));
    EXPECT_FALSE(matches(Filters::parse(R"({"type":["image"]})"), event));
    EXPECT_FALSE(matches(Filters::parse(R"({"network":["web"]})"), event));
}

TEST(filters, no_pattern_takes_exponential_time) {
    const std::string name(256, 'a');
    EXPECT_FALSE(matches_pattern("((a+)*)*b", name));
    EXPECT_FALSE(matches_pattern("(a|aa)+$b", name));
    EXPECT_TRUE(matches_pattern("^a{3}(a+)+$", name));
}

TEST(events, unknown_filters_are_refused) {
    boost::asio::io_context io;
    Events events(io);
    EXPECT_THROW(events.subscribe({.filters = Filters::parse(R"({"nope":["1"]})")}), Error);
}

TEST(events, json_has_the_legacy_keys) {
    const nlohmann::json value = container_event("die", 7).to_json();
    EXPECT_EQ(value["status"], "die");
    EXPECT_EQ(value["from"], "alpine:3");
    EXPECT_EQ(value["time"], 7);
}

}  // namespace
}  // namespace berth::engine
