#include "net/poller.h"

#include <array>

#include "base/error.h"
#include "base/log.h"

namespace berth::net {

Poller::Poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) throw_errno("making an epoll descriptor");
}

void Poller::add(BorrowedFd fd, PollTarget& target, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &target;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) < 0)
        throw_errno("watching a descriptor");
}

void Poller::remove(BorrowedFd fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr); }

void Poller::run_once(int timeout_ms) {
    std::array<epoll_event, 64> events;
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        try {
            static_cast<PollTarget*>(event.data.ptr)->on_events(event.events);
        } catch (const std::exception& error) {
            log::warn("relayed traffic was dropped: {}", error.what());
        }
    }
}

}  // namespace berth::net
