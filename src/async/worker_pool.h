// Blocking work (tar, hashing, fsync, directory walks) away from the io_context thread. Jobs get
// values and descriptors, never engine objects. Threads start at the first job, so that an idle
// engine has none; their stacks are small (kStackSize).
// The pool must be destroyed before the io_context: its destructor waits for running jobs.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "async/task.h"

namespace berth::async {

class WorkerPool final {
  public:
    static constexpr std::size_t kStackSize = 512U << 10;

    explicit WorkerPool(std::size_t max_threads);
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    /// Runs `job` on a pool thread, jobs in the order of the calls, and gives back what it returns
    /// or throws; Error when no thread can be started for it. A job that runs cannot be cancelled:
    /// the coroutine waits for its end.
    template <typename Job>
    Task<std::invoke_result_t<Job&>> run(Job job);
    /// The same on a thread of its own, for work of minutes (a pull), so that the pool stays free.
    template <typename Job>
    Task<std::invoke_result_t<Job&>> run_on_thread(std::string name, Job job);

  private:
    struct Entry;
    enum class Place { pool, own_thread };
    Task<> run_erased(Place place, std::string name, std::function<void()> job);
    template <typename Job>
    Task<std::invoke_result_t<Job&>> run_at(Place place, std::string name, Job job);
    void enqueue(const std::string& name, Entry entry);
    void start_thread(const std::string& name, std::function<void()> body);
    void work();

    const std::size_t max_threads_;
    std::mutex mutex_;  // guards all below
    std::condition_variable changed_;
    std::deque<Entry> queue_;
    std::vector<pthread_t> threads_;
    std::size_t idle_ = 0;
    std::size_t own_threads_ = 0;
    bool stopping_ = false;
};

template <typename Job>
Task<std::invoke_result_t<Job&>> WorkerPool::run(Job job) {
    return run_at(Place::pool, "worker", std::move(job));
}

template <typename Job>
Task<std::invoke_result_t<Job&>> WorkerPool::run_on_thread(std::string name, Job job) {
    return run_at(Place::own_thread, std::move(name), std::move(job));
}

template <typename Job>
Task<std::invoke_result_t<Job&>> WorkerPool::run_at(Place place, std::string name, Job job) {
    using Result = std::invoke_result_t<Job&>;
    std::exception_ptr failure;
    // The frame outlives the job (run_erased ends after it), so the job may refer to it.
    if constexpr (std::is_void_v<Result>) {
        std::function<void()> erased = [&job, &failure] {
            try {
                job();
            } catch (...) {
                failure = std::current_exception();
            }
        };
        co_await run_erased(place, std::move(name), std::move(erased));
        if (failure) std::rethrow_exception(failure);
    } else {
        std::optional<Result> result;
        std::function<void()> erased = [&job, &failure, &result] {
            try {
                result.emplace(job());
            } catch (...) {
                failure = std::current_exception();
            }
        };
        co_await run_erased(place, std::move(name), std::move(erased));
        if (failure) std::rethrow_exception(failure);
        co_return std::move(*result);
    }
}

}  // namespace berth::async
