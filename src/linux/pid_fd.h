// Processes are named by pidfds, taken together with the pid: a bare kill(pid) may hit a stranger.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.h"

namespace berth::linux_os {

/// How a child ended, as Docker counts: the exit status, or 128 + signal.
struct ExitStatus final {
    int code = 0;
    bool operator==(const ExitStatus&) const = default;
    static ExitStatus from_wait(int status);
};

class PidFd final {
  public:
    PidFd() = default;
    PidFd(pid_t pid, UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}
    /// Throws Error{not_found} when no such process lives.
    static PidFd open(pid_t pid);

    pid_t pid() const { return pid_; }
    BorrowedFd fd() const { return fd_; }
    explicit operator bool() const { return static_cast<bool>(fd_); }
    /// False when the process is gone already. Throws on any other failure.
    bool signal(int number) const;
    bool alive() const;
    /// Waits for the end of a child without hanging; nothing while it lives.
    std::optional<ExitStatus> try_reap() const;
    /// Blocks until the child ends and reaps it.
    ExitStatus reap() const;

  private:
    pid_t pid_ = -1;
    UniqueFd fd_;
};

/// Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat): with the pid it
/// names one process for one boot. Nothing when the process is gone.
std::optional<std::uint64_t> process_start_time(pid_t pid);
/// /proc/sys/kernel/random/boot_id.
std::string boot_id();

}  // namespace berth::linux_os
