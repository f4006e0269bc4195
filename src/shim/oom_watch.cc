#include "shim/oom_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <charconv>

#include "base/error.h"
#include "base/file.h"

namespace berth::shim {

OomWatch::OomWatch(EventLoop& loop, const std::string& cgroup_directory,
                   std::function<void()> on_kill)
    : loop_(loop), file_(cgroup_directory + "/memory.events"), on_kill_(std::move(on_kill)) {
    if (cgroup_directory.empty() || !exists(file_)) return;
    notices_ = UniqueFd{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    if (!notices_) throw_errno("making an inotify instance");
    if (::inotify_add_watch(notices_.get(), file_.c_str(), IN_MODIFY) < 0)
        throw_errno("watching {}", file_);
    first_ = told_ = count();
    loop_.watch(notices_, EPOLLIN, [this](std::uint32_t) { changed(); });
}

OomWatch::~OomWatch() {
    if (notices_) loop_.unwatch(notices_);
}

void OomWatch::changed() {
    char buffer[1024];
    while (::read(notices_.get(), buffer, sizeof buffer) > 0) {
    }
    const std::uint64_t now = count();
    if (now <= told_) return;
    told_ = now;
    on_kill_();
}

bool OomWatch::killed() const { return notices_ && count() > first_; }

std::uint64_t OomWatch::count() const {
    try {
        const auto events = read_file_if_exists(file_, 64U << 10);
        return events ? oom_kills(*events) : told_;
    } catch (const Error&) {  // ENODEV: it went with its cgroup
        return told_;
    }
}

std::uint64_t oom_kills(const std::string& events) {
    constexpr std::string_view kKey = "oom_kill ";
    std::size_t at = events.find(kKey);
    // "oom_group_kill " ends otherwise, but a line must begin here all the same.
    while (at != std::string::npos && at != 0 && events[at - 1] != '\n')
        at = events.find(kKey, at + 1);
    if (at == std::string::npos) return 0;
    std::uint64_t number = 0;
    std::from_chars(events.data() + at + kKey.size(), events.data() + events.size(), number);
    return number;
}

}  // namespace berth::shim
