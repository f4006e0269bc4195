// The shim's one loop: epoll, timers, and SIGCHLD through a signalfd. Callbacks run on the one
// thread of the shim; a callback may watch, unwatch or stop anything, itself included.
// Descriptors are borrowed: unwatch one before it is closed.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace berth::shim {

class EventLoop final {
  public:
    using FdCallback = std::function<void(std::uint32_t events)>;
    using TimerId = std::uint64_t;

    EventLoop();

    /// Calls back with the EPOLL* events of `fd`. Errors and hang-ups are always reported, so a
    /// descriptor that shall rest is unwatched. Watching again replaces events and callback.
    void watch(BorrowedFd fd, std::uint32_t events, FdCallback callback);
    void change(BorrowedFd fd, std::uint32_t events);
    void unwatch(BorrowedFd fd);

    TimerId after(std::chrono::milliseconds delay, std::function<void()> callback);
    void cancel(TimerId timer);

    /// Told of an exception that leaves a callback; the loop goes on.
    void on_error(std::function<void(const char*)> callback) { error_ = std::move(callback); }
    /// Called about a second after the last event, once: the time to give memory back.
    void on_quiet(std::function<void()> callback) { quiet_ = std::move(callback); }

    /// Runs until stop() is called.
    void run();
    void stop() { stopped_ = true; }

  private:
    struct Watch {
        std::uint32_t generation;
        FdCallback callback;
    };
    struct Timer {
        SteadyTime due;
        std::function<void()> callback;
    };
    int wait_time() const;
    void run_timers();
    template <typename Callback, typename... Args>
    void guarded(const Callback& callback, Args... args);
    void dispatch(const epoll_event& event);

    UniqueFd epoll_;
    std::map<int, std::shared_ptr<Watch>> watches_;
    std::map<TimerId, Timer> timers_;
    std::function<void()> quiet_;
    std::function<void(const char*)> error_;
    std::uint32_t next_generation_ = 0;
    TimerId next_timer_ = 1;
    bool busy_ = false;
    bool stopped_ = false;
};

}  // namespace berth::shim
