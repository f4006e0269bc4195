#include "async/sync.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/file.h"
#include "tests/unit/async/run.h"

namespace berth::async {
namespace {

using std::chrono::milliseconds;
SteadyTime in(milliseconds span) { return std::chrono::steady_clock::now() + span; }

TEST(Lock, holders_come_in_the_order_of_asking) {
    boost::asio::io_context context;
    TaskGroup group(context.get_executor());
    Lock lock;
    std::vector<int> order;
    auto holder = [&](int number) -> Task<> {
        const auto guard = co_await lock.acquire();
        order.push_back(number);
        co_await yield();
        order.push_back(number);
    };
    for (int i = 0; i < 3; ++i) group.spawn("holder", holder(i));
    run_in(context, group.wait_empty());
    EXPECT_EQ(order, (std::vector<int>{0, 0, 1, 1, 2, 2}));
    EXPECT_FALSE(lock.held());
}

TEST(Lock, cancelled_waiter_is_skipped) {
    boost::asio::io_context context;
    Lock lock;
    auto scene = [&]() -> Task<> {
        auto guard = co_await lock.acquire();
        auto ask = [&]() -> Task<> { co_await lock.acquire(); };
        EXPECT_EQ(co_await finish_by(in(milliseconds(5)), ask()), Finish::deadline);
        guard.release();
        EXPECT_FALSE(lock.held());
        const auto again = co_await lock.acquire();
        EXPECT_TRUE(lock.held());
    };
    run_in(context, scene());
}

TEST(Condition, deadline_ends_the_wait) {
    boost::asio::io_context context;
    Condition condition;
    auto scene = [&]() -> Task<> {
        EXPECT_EQ(co_await condition.wait_until(in(milliseconds(2))), Wake::deadline);
        EXPECT_FALSE(condition.has_waiters());
    };
    run_in(context, scene());
}

TEST(Condition, a_descriptor_ends_the_wait_as_well) {
    boost::asio::io_context context;
    Condition condition;
    const Pipe pipe = Pipe::make();
    TaskGroup group(context.get_executor());
    auto wait = [&]() -> Task<> { co_await condition.wait_or_readable(pipe.read); };
    auto scene = [&]() -> Task<> {
        EXPECT_EQ(co_await condition.wait_or_readable(pipe.read, in(milliseconds(2))),
                  Wake::deadline);
        group.spawn("by notify", wait());
        while (!condition.has_waiters()) co_await yield();
        condition.notify_all();
        co_await group.wait_empty();
        group.spawn("by the descriptor", wait());
        while (!condition.has_waiters()) co_await yield();
        write_all(pipe.write, "x");
        co_await group.wait_empty();
        EXPECT_EQ(co_await condition.wait_or_readable(pipe.read), Wake::notified);
        EXPECT_FALSE(condition.has_waiters());
    };
    run_in(context, scene());
}

TEST(Event, set_wakes_every_waiter) {
    boost::asio::io_context context;
    TaskGroup group(context.get_executor());
    Event event;
    int woken = 0;
    auto waiter = [&]() -> Task<> {
        co_await event.wait();
        ++woken;
    };
    group.spawn("a", waiter());
    group.spawn("b", waiter());
    auto scene = [&]() -> Task<> {
        co_await yield();
        event.set();
        co_await group.wait_empty();
        co_await event.wait();
    };
    run_in(context, scene());
    EXPECT_EQ(woken, 2);
}

TEST(TaskGroup, stop_cancels_its_members) {
    boost::asio::io_context context;
    TaskGroup group(context.get_executor());
    auto member = []() -> Task<> { co_await sleep_for(std::chrono::hours(1)); };
    group.spawn("sleeper", member());
    std::size_t left = 9;
    auto scene = [&]() -> Task<> {
        co_await yield();
        left = co_await group.stop(in(milliseconds(1000)));
    };
    run_in(context, scene());
    EXPECT_EQ(left, 0U);
}

TEST(TaskGroup, stop_reports_a_member_that_does_not_end) {
    boost::asio::io_context context;
    TaskGroup group(context.get_executor());
    bool release = false;
    auto stubborn = [&]() -> Task<> {
        while (!release) {
            try {
                co_await sleep_for(milliseconds(1));
            } catch (...) {
            }
            co_await boost::asio::this_coro::reset_cancellation_state();
        }
    };
    group.spawn("stubborn", stubborn());
    std::size_t left = 0;
    auto scene = [&]() -> Task<> {
        co_await yield();
        left = co_await group.stop(in(milliseconds(5)));
        release = true;
        co_await group.wait_empty();
    };
    run_in(context, scene());
    EXPECT_EQ(left, 1U);
}

TEST(RunCancellable, outer_cancellation_reaches_the_inner_task) {
    boost::asio::io_context context;
    bool inner_cancelled = false;
    auto inner = [&]() -> Task<> {
        try {
            co_await sleep_for(std::chrono::hours(1));
        } catch (const Error& e) {
            inner_cancelled = e.kind() == ErrorKind::cancelled;
            throw;
        }
    };
    auto middle = [&]() -> Task<> {
        CancelSource source;
        co_await run_cancellable(source, inner());
    };
    auto scene = [&]() -> Task<> {
        EXPECT_EQ(co_await finish_by(in(milliseconds(3)), middle()), Finish::deadline);
    };
    run_in(context, scene());
    EXPECT_TRUE(inner_cancelled);
}

TEST(FinishBy, other_errors_pass_through) {
    boost::asio::io_context context;
    auto failing = []() -> Task<> {
        co_await yield();
        throw Error(ErrorKind::conflict, "no");
    };
    auto scene = [&]() -> Task<> { co_await finish_by(in(milliseconds(1000)), failing()); };
    EXPECT_THROW(run_in(context, scene()), Error);
}

}  // namespace
}  // namespace berth::async
