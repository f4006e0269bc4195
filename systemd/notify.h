// sd_notify without libsystemd: datagrams to $NOTIFY_SOCKET (a path or an abstract name), and the
// sockets that a service manager passes (LISTEN_FDS). Best effort: a manager that is gone is no
// error.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace berth::systemd {

/// Where to report to; taken from the environment once, at start.
class Notifier final {
  public:
    /// `socket` is the value of NOTIFY_SOCKET; empty: every call does nothing.
    explicit Notifier(const std::string& socket);
    /// Sends "READY=1", "STOPPING=1", "STATUS=text" and the like; lines joined by '\n'.
    void send(const std::string& state) const;

  private:
    std::string address_;
    UniqueFd socket_;
};

/// The descriptors from 3 on that LISTEN_FDS counts, when LISTEN_PID is this process; made CLOEXEC.
std::vector<UniqueFd> take_listen_fds();

}  // namespace berth::systemd
