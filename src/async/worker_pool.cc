#include "async/worker_pool.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <memory>

namespace berth::async {
namespace asio = boost::asio;

struct WorkerPool::Entry final {
    std::function<void()> job;
    std::function<void()> done;  // posts the coroutine's continuation
};

namespace {
struct ThreadStart final {
    std::string name;
    std::function<void()> body;
};

void* thread_main(void* argument) {
    const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(argument));
    pthread_setname_np(pthread_self(), start->name.substr(0, 15).c_str());
    start->body();
    return nullptr;
}

pthread_t create_thread(std::string name, std::function<void()> body) {
    auto start = std::make_unique<ThreadStart>(ThreadStart{std::move(name), std::move(body)});
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WorkerPool::kStackSize);
    // Signals are the event loop's business.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread{};
    const int error = pthread_create(&thread, &attributes, &thread_main, start.get());
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (error != 0) throw Error::from_errno(error, "starting a thread");
    start.release();  // NOLINT: thread_main owns it now
    return thread;
}
}  // namespace

WorkerPool::WorkerPool(std::size_t max_threads) : max_threads_(max_threads) {}

WorkerPool::~WorkerPool() {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    queue_.clear();
    changed_.notify_all();
    changed_.wait(lock, [this] { return own_threads_ == 0; });
    const auto threads = std::move(threads_);
    lock.unlock();
    for (const pthread_t thread : threads) pthread_join(thread, nullptr);
}

void WorkerPool::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        --idle_;
        if (stopping_) return;
        Entry entry = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        entry.job();
        entry.done();
        entry = {};
        lock.lock();
    }
}

void WorkerPool::start_thread(const std::string& name, std::function<void()> body) {
    {
        const std::lock_guard lock(mutex_);
        ++own_threads_;
    }
    try {
        const pthread_t thread = create_thread(name, [this, body = std::move(body)]() mutable {
            body();
            body = nullptr;
            const std::lock_guard lock(mutex_);
            --own_threads_;
            changed_.notify_all();
        });
        pthread_detach(thread);
    } catch (...) {
        const std::lock_guard lock(mutex_);
        --own_threads_;
        throw;
    }
}

void WorkerPool::enqueue(const std::string& name, Entry entry) {
    const std::lock_guard lock(mutex_);
    if (idle_ <= queue_.size() && threads_.size() < max_threads_) {
        try {
            threads_.push_back(create_thread(name, [this] { work(); }));
        } catch (const Error&) {
            // Those that run take the job later.
            if (threads_.empty()) throw;
        }
    }
    queue_.push_back(std::move(entry));
    changed_.notify_one();
}

Task<> WorkerPool::run_erased(Place place, std::string name, std::function<void()> job) {
    const auto executor = co_await asio::this_coro::executor;
    std::exception_ptr failure;
    auto initiate = [this, place, &name, &job, &failure, executor](auto handler) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        auto work_left = asio::make_work_guard(executor);
        std::function<void()> done = [shared, executor, work_left] {
            asio::post(executor, [shared]() mutable { (*shared)(); });
        };
        // Nothing catches what an initiation throws: it would end the process.
        try {
            if (place == Place::own_thread) {
                start_thread(name, [job = std::move(job), done] {
                    job();
                    done();
                });
            } else {
                enqueue(name, Entry{std::move(job), done});
            }
        } catch (...) {
            failure = std::current_exception();
            done();
        }
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate,
                                                                         asio::use_awaitable);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace berth::async
