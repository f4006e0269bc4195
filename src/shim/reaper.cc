#include "shim/reaper.h"

#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/error.h"

namespace berth::shim {

Reaper::Reaper(EventLoop& loop) {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGCHLD);
    if (::sigprocmask(SIG_BLOCK, &signals, nullptr) < 0) throw_errno("blocking SIGCHLD");
    signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) throw_errno("making a signalfd");
    loop.watch(signals_, EPOLLIN, [this](std::uint32_t) { reap_all(); });
}

void Reaper::expect(pid_t pid, Callback callback) {
    const auto stray = strays_.find(pid);
    if (stray == strays_.end()) {
        waiting_[pid] = std::move(callback);
        return;
    }
    const linux_os::ExitStatus status = stray->second;
    strays_.erase(stray);
    callback(status);
}

void Reaper::end_unknown() {
    if (--unknown_ == 0) strays_.clear();
}

void Reaper::reap_all() {
    signalfd_siginfo discarded;
    while (::read(signals_.get(), &discarded, sizeof discarded) > 0) {
    }
    for (;;) {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR) continue;
        if (pid <= 0) return;
        const auto exit = linux_os::ExitStatus::from_wait(status);
        const auto found = waiting_.find(pid);
        if (found != waiting_.end()) {
            const Callback callback = std::move(found->second);
            waiting_.erase(found);
            callback(exit);
        } else if (unknown_ > 0) {
            strays_[pid] = exit;
        }
    }
}

}  // namespace berth::shim
