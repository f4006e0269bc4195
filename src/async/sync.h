// Waiting for one another on the io_context thread: a FIFO lock, a condition and an event. None is
// thread-safe. Every wait ends with Error{cancelled} when its coroutine is cancelled.
#pragma once

#include <list>
#include <memory>
#include <utility>

#include "async/task.h"
#include "base/unique_fd.h"

namespace berth::async {

enum class Wake { notified, deadline };

/// Wakes those that wait at the moment of a notify; remembers nothing.
class Condition final {
  public:
    Condition();
    ~Condition();
    Condition(const Condition&) = delete;
    Condition& operator=(const Condition&) = delete;

    void notify_all();
    void notify_one();
    Task<> wait();
    Task<Wake> wait_until(SteadyTime deadline);
    /// A descriptor that is readable, or becomes it, counts as a notify. It is duplicated.
    Task<Wake> wait_or_readable(BorrowedFd fd, SteadyTime deadline = SteadyTime::max());
    bool has_waiters() const;

  private:
    struct Waiter;
    struct Waiters;
    std::shared_ptr<Waiters> waiters_;  // shared with the coroutines that wait
};

/// A flag that can be waited for.
class Event final {
  public:
    void set();
    void clear() { set_ = false; }
    bool is_set() const { return set_; }
    Task<> wait();
    Task<Wake> wait_until(SteadyTime deadline);

  private:
    bool set_ = false;
    Condition changed_;
};

/// An async mutex: holders come in the order in which they asked.
class Lock final {
    struct State;

  public:
    /// Releases at the end of its life. Move-only; may outlive the Lock.
    class Guard final {
      public:
        Guard() = default;
        Guard(Guard&& other) noexcept = default;
        Guard& operator=(Guard&& other) noexcept {
            release();
            state_ = std::move(other.state_);
            return *this;
        }
        ~Guard() { release(); }
        void release();
        explicit operator bool() const { return state_ != nullptr; }

      private:
        friend class Lock;
        explicit Guard(std::shared_ptr<State> state) : state_(std::move(state)) {}
        std::shared_ptr<State> state_;
    };

    Lock();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    Task<Guard> acquire();
    /// An empty guard when the lock is held.
    Guard try_acquire();
    bool held() const;

  private:
    static void hand_over(State& state);
    std::shared_ptr<State> state_;
};

}  // namespace berth::async
