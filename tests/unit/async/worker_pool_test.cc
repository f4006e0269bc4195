#include "async/worker_pool.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "tests/unit/async/run.h"

namespace {
std::atomic<bool> threads_run_out{false};
}

// In place of the C library's, so that a test can let it fail.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*body)(void*), void* argument) {
    using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const auto real = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    return threads_run_out ? EAGAIN : real(thread, attributes, body, argument);
}

namespace berth::async {
namespace {

TEST(WorkerPool, thread_that_cannot_start_fails_the_job_only) {
    boost::asio::io_context context;
    WorkerPool pool(1);
    int ran = 0;
    int failed = 0;
    auto job = [&ran] { ++ran; };
    auto scene = [&]() -> Task<> {
        threads_run_out = true;
        try {
            co_await pool.run(job);
        } catch (const Error&) {
            ++failed;
        }
        try {
            co_await pool.run_on_thread("own", job);
        } catch (const Error&) {
            ++failed;
        }
        threads_run_out = false;
        co_await pool.run(job);
    };
    run_in(context, scene());
    EXPECT_EQ(failed, 2);
    EXPECT_EQ(ran, 1);
}

TEST(WorkerPool, threads_that_run_take_the_job_when_no_other_starts) {
    boost::asio::io_context context;
    WorkerPool pool(2);
    TaskGroup group(context.get_executor());
    std::atomic<int> ran{0};
    auto task = [&]() -> Task<> {
        auto job = [&ran] { ++ran; };
        co_await pool.run(job);
    };
    run_in(context, task());
    threads_run_out = true;
    for (int i = 0; i < 5; ++i) group.spawn("job", task());
    run_in(context, group.wait_empty());
    threads_run_out = false;
    EXPECT_EQ(ran, 6);
}

TEST(WorkerPool, gives_back_the_result_from_another_thread) {
    boost::asio::io_context context;
    WorkerPool pool(2);
    auto scene = [&]() -> Task<> {
        const auto here = std::this_thread::get_id();
        auto job = [] { return std::make_unique<std::thread::id>(std::this_thread::get_id()); };
        const auto there = co_await pool.run(job);
        EXPECT_NE(*there, here);
        EXPECT_EQ(std::this_thread::get_id(), here);
    };
    run_in(context, scene());
}

TEST(WorkerPool, carries_exceptions_over) {
    boost::asio::io_context context;
    WorkerPool pool(1);
    auto scene = [&]() -> Task<> {
        auto job = [] { throw Error(ErrorKind::denied, "not here"); };
        co_await pool.run(job);
    };
    try {
        run_in(context, scene());
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::denied);
    }
}

TEST(WorkerPool, one_thread_runs_jobs_in_order) {
    boost::asio::io_context context;
    WorkerPool pool(1);
    TaskGroup group(context.get_executor());
    std::vector<int> order;
    auto task = [&](int number) -> Task<> {
        auto job = [&order, number] { order.push_back(number); };
        co_await pool.run(job);
    };
    for (int i = 0; i < 20; ++i) group.spawn("job", task(i));
    run_in(context, group.wait_empty());
    ASSERT_EQ(order.size(), 20U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(WorkerPool, long_job_leaves_the_pool_free) {
    boost::asio::io_context context;
    WorkerPool pool(1);
    TaskGroup group(context.get_executor());
    std::atomic<bool> release = false;
    auto slow = [&]() -> Task<> {
        auto job = [&] { release.wait(false); };
        co_await pool.run_on_thread("pull", job);
    };
    group.spawn("slow", slow());
    auto scene = [&]() -> Task<> {
        auto job = [] { return 7; };
        EXPECT_EQ(co_await pool.run(job), 7);
        release = true;
        release.notify_all();
        co_await group.wait_empty();
    };
    run_in(context, scene());
}

}  // namespace
}  // namespace berth::async
