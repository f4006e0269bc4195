#include "shim/oom_watch.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace berth::shim {

OomWatch::OomWatch(EventLoop& loop, const std::string& cgroup_directory,
                   std::function<void()> on_kill)
    : loop_(loop), on_kill_(std::move(on_kill)) {
    const std::string path = cgroup_directory + "/memory.events";
    if (cgroup_directory.empty() || !exists(path)) return;
    file_ = open_file(path, O_RDONLY);
    first_ = told_ = count().value_or(0);
    watched_ = true;
    try {
        loop_.watch(file_, EPOLLPRI, [this](std::uint32_t) { changed(); });
    } catch (const Error& error) {
        if (error.errno_value() != EPERM) throw;
        watch_by_inotify(path);
    }
}

OomWatch::~OomWatch() { stop(); }

void OomWatch::watch_by_inotify(const std::string& path) {
    notices_ = UniqueFd{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    if (!notices_) throw_errno("making an inotify instance");
    if (::inotify_add_watch(notices_.get(), path.c_str(), IN_MODIFY) < 0)
        throw_errno("watching {}", path);
    loop_.watch(notices_, EPOLLIN, [this](std::uint32_t) { changed(); });
}

void OomWatch::stop() {
    if (!std::exchange(watched_, false)) return;
    loop_.unwatch(notices_ ? notices_ : file_);
}

void OomWatch::changed() {
    char buffer[1024];
    while (notices_ && ::read(notices_.get(), buffer, sizeof buffer) > 0) {
    }
    const auto now = count();
    if (!now) return stop();  // else poll would report the error for ever
    if (*now <= told_) return;
    told_ = *now;
    on_kill_();
}

bool OomWatch::killed() const { return count().value_or(told_) > first_; }

// The same open file each time, from its start: that is how the kernel knows what was seen.
std::optional<std::uint64_t> OomWatch::count() const {
    if (!file_) return std::nullopt;
    std::string text(4096, '\0');
    const ssize_t size = ::pread(file_.get(), text.data(), text.size(), 0);
    if (size < 0) return std::nullopt;
    text.resize(static_cast<std::size_t>(size));
    return oom_kills(text);
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
