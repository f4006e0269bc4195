// Asks the kernel whether a server listens at an address inside a container's network namespace
// (sock_diag(7)): 2 us a question, nothing that the container could notice. Opened on the main
// thread, used by the relay thread. Its sockets keep the namespace alive, so whoever owns a probe
// drops it when the container's process 1, which `process` names, has ended.
#pragma once

#include <optional>

#include "base/ip_address.h"
#include "base/unique_fd.h"
#include "linux/pid_fd.h"
#include "net/namespace_thread.h"

namespace berth::net {

class ListenProbe final {
  public:
    /// A container's network namespace; without a descriptor it is looked up from the process.
    struct Target final {
        linux_os::PidFd process;
        BorrowedFd network_namespace;
    };
    /// Nothing when this kernel cannot tell (no tcp_diag) or the namespace may not be entered.
    static std::optional<ListenProbe> open(NamespaceThread& executor, Target target);

    bool is_listening(const IpAddress& address, std::uint16_t port) const;
    BorrowedFd process() const { return process_.fd(); }
    /// Readable when a listening socket of the container was closed, some milliseconds later.
    BorrowedFd closings() const { return closings_; }
    void take_closings();

  private:
    ListenProbe(linux_os::PidFd process, UniqueFd questions, UniqueFd closings)
        : process_(std::move(process)),
          questions_(std::move(questions)),
          closings_(std::move(closings)) {}

    linux_os::PidFd process_;
    UniqueFd questions_;
    UniqueFd closings_;
};

}  // namespace berth::net
