#include "shim/event_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <vector>

#include "base/error.h"

namespace berth::shim {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kQuietMs = 1000;

// The generation tells an event of a closed descriptor from one of its number's next owner.
epoll_event event_for(BorrowedFd fd, std::uint32_t events, std::uint32_t generation) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = (std::uint64_t{generation} << 32U) | static_cast<std::uint32_t>(fd.get());
    return event;
}

}  // namespace

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) throw_errno("making an epoll instance");
}

void EventLoop::watch(BorrowedFd fd, std::uint32_t events, FdCallback callback) {
    auto entry = std::make_shared<Watch>(Watch{next_generation_++, std::move(callback)});
    epoll_event event = event_for(fd, events, entry->generation);
    const int operation = watches_.contains(fd.get()) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (::epoll_ctl(epoll_.get(), operation, fd.get(), &event) < 0)
        throw_errno("watching descriptor {}", fd.get());
    watches_[fd.get()] = std::move(entry);
}

void EventLoop::change(BorrowedFd fd, std::uint32_t events) {
    const auto found = watches_.find(fd.get());
    if (found == watches_.end()) return;
    epoll_event event = event_for(fd, events, found->second->generation);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd.get(), &event) < 0)
        throw_errno("watching descriptor {}", fd.get());
}

void EventLoop::unwatch(BorrowedFd fd) {
    if (watches_.erase(fd.get()) == 0) return;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
}

EventLoop::TimerId EventLoop::after(milliseconds delay, std::function<void()> callback) {
    const TimerId id = next_timer_++;
    timers_.emplace(id, Timer{steady_clock::now() + delay, std::move(callback)});
    return id;
}

void EventLoop::cancel(TimerId timer) { timers_.erase(timer); }

int EventLoop::wait_time() const {
    int wait = busy_ && quiet_ ? kQuietMs : -1;
    const SteadyTime now = steady_clock::now();
    for (const auto& [id, timer] : timers_) {
        const auto left = std::chrono::ceil<milliseconds>(timer.due - now).count();
        const int timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
        if (wait < 0 || timeout < wait) wait = timeout;
    }
    return wait;
}

// One client's or exec's trouble must not end the container's shim.
template <typename Callback, typename... Args>
void EventLoop::guarded(const Callback& callback, Args... args) {
    try {
        callback(args...);
    } catch (const std::exception& error) {
        if (!error_) throw;
        error_(error.what());
    }
}

void EventLoop::run_timers() {
    const SteadyTime now = steady_clock::now();
    std::vector<TimerId> due;
    for (const auto& [id, timer] : timers_)
        if (timer.due <= now) due.push_back(id);
    for (const TimerId id : due) {
        const auto found = timers_.find(id);
        if (found == timers_.end()) continue;  // cancelled by the one before
        const auto callback = std::move(found->second.callback);
        timers_.erase(found);
        guarded(callback);
    }
}

void EventLoop::dispatch(const epoll_event& event) {
    const int fd = static_cast<int>(event.data.u64 & 0xffffffffU);
    const auto found = watches_.find(fd);
    if (found == watches_.end() || found->second->generation != event.data.u64 >> 32U) return;
    const std::shared_ptr<Watch> keep = found->second;
    guarded(keep->callback, event.events);
}

void EventLoop::run() {
    std::array<epoll_event, 32> events;
    while (!stopped_) {
        const int count =
            ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_time());
        if (count < 0 && errno != EINTR) throw_errno("waiting for events");
        if (count == 0 && busy_ && quiet_ && timers_.empty()) {
            busy_ = false;
            quiet_();
        }
        if (count > 0) busy_ = true;
        for (int i = 0; i < count && !stopped_; ++i) dispatch(events[static_cast<std::size_t>(i)]);
        if (!stopped_) run_timers();
    }
}

}  // namespace berth::shim
