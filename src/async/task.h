// Coroutines of the engine: everything runs on ONE io_context thread, so state that belongs to it
// needs no lock. A cancelled coroutine gets Error{cancelled} from the functions of this folder, or
// boost::system::system_error(operation_aborted) at its next co_await; is_cancellation() knows
// both. Blocking work goes to a WorkerPool (worker_pool.h), never onto this thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace berth::async {

template <typename T = void>
using Task = boost::asio::awaitable<T>;
using Executor = boost::asio::any_io_executor;

/// The error that `failure` carries; any cancellation becomes Error{cancelled}.
Error to_error(const std::exception_ptr& failure);
bool is_cancellation(const std::exception_ptr& failure);

Task<> sleep_until(SteadyTime when);
Task<> sleep_for(std::chrono::steady_clock::duration span);
/// Lets other ready coroutines run first.
Task<> yield();

/// Cancels one task that runs under run_cancellable(). Call from the io_context thread only.
class CancelSource final {
  public:
    CancelSource() = default;
    CancelSource(const CancelSource&) = delete;
    CancelSource& operator=(const CancelSource&) = delete;

    void cancel();
    bool cancelled() const { return cancelled_; }

  private:
    friend Task<> run_cancellable(CancelSource& source, Task<> task);
    boost::asio::cancellation_signal signal_;
    bool cancelled_ = false;
};

/// Runs `task`; source.cancel() and a cancellation of the caller both end it. Rethrows its error.
Task<> run_cancellable(CancelSource& source, Task<> task);

enum class Finish { done, deadline };
/// Runs `task`, cancelled at `deadline`; its other errors are rethrown.
Task<Finish> finish_by(SteadyTime deadline, Task<> task);

/// Coroutines that run on their own. An error that leaves one is logged with its name (not a
/// cancellation). The group may go before its members; they then run on unobserved.
class TaskGroup final {
  public:
    explicit TaskGroup(Executor executor);
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    /// `task` starts from the event loop, never inside this call (co_spawn alone would).
    void spawn(std::string name, Task<> task);
    /// Cancels every member and waits until `deadline` for their ends; says how many are left (they
    /// are logged, and cut when the io_context goes). Members spawned later are cancelled at once.
    Task<std::size_t> stop(SteadyTime deadline);
    /// Waits until no member is left.
    Task<> wait_empty();
    std::size_t size() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace berth::async
