#include "async/task.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "async/sync.h"
#include "base/log.h"

namespace berth::async {
namespace asio = boost::asio;

bool is_cancellation(const std::exception_ptr& failure) {
    if (!failure) return false;
    try {
        std::rethrow_exception(failure);
    } catch (const Error& e) {
        return e.kind() == ErrorKind::cancelled;
    } catch (const boost::system::system_error& e) {
        return e.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

Error to_error(const std::exception_ptr& failure) {
    if (is_cancellation(failure)) return Error(ErrorKind::cancelled, "the operation was cancelled");
    try {
        std::rethrow_exception(failure);
    } catch (const Error& e) {
        return e;
    } catch (const std::bad_alloc&) {
        return Error(ErrorKind::internal, "out of memory");
    } catch (const std::exception& e) {
        return Error(ErrorKind::internal, "{}", e.what());
    } catch (...) {
        return Error(ErrorKind::internal, "unknown failure");
    }
}

Task<> sleep_until(SteadyTime when) {
    asio::steady_timer timer(co_await asio::this_coro::executor, when);
    const auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) throw Error(ErrorKind::cancelled, "the operation was cancelled");
}

Task<> sleep_for(std::chrono::steady_clock::duration span) {
    co_await sleep_until(std::chrono::steady_clock::now() + span);
}

Task<> yield() { co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable); }

void CancelSource::cancel() {
    if (cancelled_) return;
    cancelled_ = true;
    signal_.emit(asio::cancellation_type::terminal);
}

Task<> run_cancellable(CancelSource& source, Task<> task) {
    const auto executor = co_await asio::this_coro::executor;
    if (source.cancelled()) throw Error(ErrorKind::cancelled, "the operation was cancelled");
    const auto state = co_await asio::this_coro::cancellation_state;
    auto outer = state.slot();
    // The inner coroutine has a slot of its own, so the caller's is free to pass a cancellation on.
    if (outer.is_connected()) outer.assign([&source](asio::cancellation_type) { source.cancel(); });
    std::exception_ptr failure;
    try {
        co_await asio::co_spawn(
            executor, std::move(task),
            asio::bind_cancellation_slot(source.signal_.slot(), asio::use_awaitable));
    } catch (...) {
        failure = std::current_exception();
    }
    if (outer.is_connected()) outer.clear();
    if (failure) std::rethrow_exception(failure);
}

Task<Finish> finish_by(SteadyTime deadline, Task<> task) {
    CancelSource source;
    asio::steady_timer timer(co_await asio::this_coro::executor, deadline);
    auto alive = std::make_shared<bool>(false);  // whether the deadline has struck
    std::weak_ptr<bool> observer = alive;
    timer.async_wait([observer, &source](const boost::system::error_code& error) {
        const auto struck = observer.lock();
        if (error || !struck) return;
        *struck = true;
        source.cancel();
    });
    std::exception_ptr failure;
    try {
        co_await run_cancellable(source, std::move(task));
    } catch (...) {
        failure = std::current_exception();
    }
    const bool struck = *alive;
    alive.reset();
    if (!failure) co_return Finish::done;
    if (struck && is_cancellation(failure)) co_return Finish::deadline;
    std::rethrow_exception(failure);
}

struct TaskGroup::State final {
    struct Member final {
        std::string name;
        asio::cancellation_signal signal;
    };
    explicit State(Executor where) : executor(std::move(where)) {}
    Executor executor;
    std::list<Member> members;
    Condition emptied;
    bool stopping = false;
};

TaskGroup::TaskGroup(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

namespace {
// co_spawn runs a coroutine up to its first wait inside the call.
Task<> from_the_loop(Task<> task) {
    co_await yield();
    co_await std::move(task);
}
}  // namespace

void TaskGroup::spawn(std::string name, Task<> task) {
    state_->members.emplace_back();
    const auto member = std::prev(state_->members.end());
    member->name = std::move(name);
    auto done = [state = state_, member](const std::exception_ptr& failure) {
        if (failure && !is_cancellation(failure))
            log::error("task={} error=\"{}\"", member->name, to_error(failure).message());
        state->members.erase(member);
        if (state->members.empty()) state->emptied.notify_all();
    };
    asio::co_spawn(state_->executor, from_the_loop(std::move(task)),
                   asio::bind_cancellation_slot(member->signal.slot(), std::move(done)));
    if (state_->stopping) member->signal.emit(asio::cancellation_type::terminal);
}

Task<std::size_t> TaskGroup::stop(SteadyTime deadline) {
    const auto state = state_;
    state->stopping = true;
    for (auto& member : state->members) member.signal.emit(asio::cancellation_type::terminal);
    Wake wake = Wake::notified;
    while (!state->members.empty() && wake == Wake::notified)
        wake = co_await state->emptied.wait_until(deadline);
    for (const auto& member : state->members) log::warn("task={} msg=\"did not end\"", member.name);
    co_return state->members.size();
}

Task<> TaskGroup::wait_empty() {
    const auto state = state_;
    while (!state->members.empty()) co_await state->emptied.wait();
}

std::size_t TaskGroup::size() const { return state_->members.size(); }

}  // namespace berth::async
