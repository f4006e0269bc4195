#include "async/sync.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace berth::async {
namespace asio = boost::asio;

namespace {
Error cancelled() { return Error(ErrorKind::cancelled, "the operation was cancelled"); }
}  // namespace

// A waiter lives in the frame of its coroutine; its timer is the thing that is awaited.
struct Condition::Waiter final {
    Waiter(std::shared_ptr<Waiters> waiters, const Executor& executor, SteadyTime deadline);
    ~Waiter();
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    void notify() {
        notified = true;
        timer.cancel();
    }
    std::shared_ptr<Waiters> owner;
    std::list<Waiter*>::iterator place;
    asio::steady_timer timer;
    bool notified = false;
};

struct Condition::Waiters final {
    std::list<Waiter*> all;
};

Condition::Waiter::Waiter(std::shared_ptr<Waiters> waiters, const Executor& executor,
                          SteadyTime deadline)
    : owner(std::move(waiters)),
      place(owner->all.insert(owner->all.end(), this)),
      timer(executor, deadline) {}

Condition::Waiter::~Waiter() { owner->all.erase(place); }

Condition::Condition() : waiters_(std::make_shared<Waiters>()) {}
Condition::~Condition() = default;

void Condition::notify_all() {
    for (Waiter* waiter : waiters_->all) waiter->notify();
}

void Condition::notify_one() {
    const auto& all = waiters_->all;
    const auto first = std::find_if(all.begin(), all.end(), [](auto* w) { return !w->notified; });
    if (first != all.end()) (*first)->notify();
}

bool Condition::has_waiters() const { return !waiters_->all.empty(); }

Task<> Condition::wait() { co_await wait_until(SteadyTime::max()); }

Task<Wake> Condition::wait_until(SteadyTime deadline) {
    Waiter waiter(waiters_, co_await asio::this_coro::executor, deadline);
    const auto [error] = co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (waiter.notified) co_return Wake::notified;
    if (error) throw cancelled();
    co_return Wake::deadline;
}

Task<Wake> Condition::wait_or_readable(BorrowedFd fd, SteadyTime deadline) {
    const auto executor = co_await asio::this_coro::executor;
    const auto waiter = std::make_shared<Waiter>(waiters_, executor, deadline);
    asio::posix::stream_descriptor descriptor(executor, duplicate(fd).release());
    descriptor.async_wait(
        asio::posix::descriptor_base::wait_read,
        [waiting = std::weak_ptr<Waiter>(waiter)](const boost::system::error_code& error) {
            if (const auto waker = waiting.lock(); waker && !error) waker->notify();
        });
    const auto [error] = co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (waiter->notified) co_return Wake::notified;
    if (error) throw cancelled();
    co_return Wake::deadline;
}

void Event::set() {
    set_ = true;
    changed_.notify_all();
}

Task<> Event::wait() {
    if (!set_) co_await changed_.wait();
}

Task<Wake> Event::wait_until(SteadyTime deadline) {
    if (set_) co_return Wake::notified;
    co_return co_await changed_.wait_until(deadline);
}

struct Lock::State final {
    struct Waiter final {
        Waiter(State& owner_state, const Executor& executor)
            : state(owner_state),
              place(state.waiters.insert(state.waiters.end(), this)),
              timer(executor, SteadyTime::max()) {}
        ~Waiter() {
            if (!granted) state.waiters.erase(place);
        }
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        State& state;
        std::list<Waiter*>::iterator place;
        asio::steady_timer timer;
        bool granted = false;
    };
    bool held = false;
    std::list<Waiter*> waiters;
};

Lock::Lock() : state_(std::make_shared<State>()) {}

bool Lock::held() const { return state_->held; }

void Lock::hand_over(State& state) {
    if (state.waiters.empty()) {
        state.held = false;
        return;
    }
    State::Waiter* next = state.waiters.front();
    state.waiters.pop_front();
    next->granted = true;
    next->timer.cancel();
}

void Lock::Guard::release() {
    if (const auto state = std::exchange(state_, nullptr)) hand_over(*state);
}

Lock::Guard Lock::try_acquire() {
    if (state_->held) return {};
    state_->held = true;
    return Guard(state_);
}

Task<Lock::Guard> Lock::acquire() {
    const auto state = state_;
    if (!state->held) {
        state->held = true;
        co_return Guard(state);
    }
    State::Waiter waiter(*state, co_await asio::this_coro::executor);
    co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!waiter.granted) throw cancelled();
    co_return Guard(state);
}

}  // namespace berth::async
