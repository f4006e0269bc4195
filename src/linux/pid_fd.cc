#include "linux/pid_fd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <csignal>

#include "base/error.h"
#include "base/file.h"

namespace berth::linux_os {
namespace {

constexpr idtype_t kIdPidFd = static_cast<idtype_t>(3);  // P_PIDFD

ExitStatus from_siginfo(const siginfo_t& info) {
    return {info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status};
}

}  // namespace

ExitStatus ExitStatus::from_wait(int status) {
    return {WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)};
}

PidFd PidFd::open(pid_t pid) {
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (fd < 0 && errno == ESRCH) throw Error(ErrorKind::not_found, "no such process: {}", pid);
    if (fd < 0) throw_errno("opening a pidfd of process {}", pid);
    return {pid, UniqueFd{fd}};
}

bool PidFd::signal(int number) const {
    if (::syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0) == 0) return true;
    if (errno == ESRCH) return false;
    throw_errno("sending signal {} to process {}", number, pid_);
}

bool PidFd::alive() const {
    pollfd poll_fd{fd_.get(), POLLIN, 0};
    return ::poll(&poll_fd, 1, 0) == 0;
}

std::optional<ExitStatus> PidFd::try_reap() const {
    siginfo_t info{};
    if (::waitid(kIdPidFd, static_cast<id_t>(fd_.get()), &info, WEXITED | WNOHANG) < 0)
        throw_errno("waiting for process {}", pid_);
    if (info.si_pid == 0) return std::nullopt;
    return from_siginfo(info);
}

ExitStatus PidFd::reap() const {
    siginfo_t info{};
    while (::waitid(kIdPidFd, static_cast<id_t>(fd_.get()), &info, WEXITED) < 0)
        if (errno != EINTR) throw_errno("waiting for process {}", pid_);
    return from_siginfo(info);
}

std::optional<std::uint64_t> process_start_time(pid_t pid) {
    const auto stat = read_file_if_exists(fmt::format("/proc/{}/stat", pid));
    if (!stat) return std::nullopt;
    // The command name may hold spaces and parentheses: fields are counted from the last one.
    std::string_view rest(*stat);
    const auto close = rest.rfind(')');
    if (close == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(close + 1);
    constexpr int kFieldsToStartTime = 20;
    for (int field = 0; field < kFieldsToStartTime; ++field) {
        const auto space = rest.find(' ');
        if (space == std::string_view::npos) return std::nullopt;
        rest.remove_prefix(space + 1);
    }
    std::uint64_t ticks = 0;
    if (std::from_chars(rest.data(), rest.data() + rest.size(), ticks).ec != std::errc{})
        return std::nullopt;
    return ticks;
}

std::string boot_id() {
    std::string id = read_file("/proc/sys/kernel/random/boot_id");
    while (!id.empty() && id.back() == '\n') id.pop_back();
    return id;
}

}  // namespace berth::linux_os
