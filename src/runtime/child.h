// The container's process 1 between clone3 and execve: makes the container around itself, tells
// the parent, waits on start.sock, executes. Order: user, mounts, hooks, pivot, terminal, names,
// limits, user, capabilities, seccomp. See docs/decisions and the messages in channel.h.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "oci/runtime_spec.h"
#include "runtime/plan.h"
#include "runtime/seccomp_program.h"

namespace berth::runtime {

struct ChildRequest final {
    const oci::Spec* spec = nullptr;
    const Plan* plan = nullptr;
    std::string rootfs;      // absolute
    std::string hook_state;  // JSON for the hooks that run here
    BorrowedFd console;      // connected to --console-socket, when there is a terminal
    BorrowedFd listener;     // start.sock
    std::optional<SeccompProgram> seccomp;
    unsigned preserved_fds = 0;
};

/// Never returns; throws Error until Ready was sent.
[[noreturn]] void run_child(const ChildRequest& request, BorrowedFd channel);

struct ExecRequest final {
    oci::Process process;
    bool joins_user_namespace = false;
    BorrowedFd console;
    std::optional<SeccompProgram> seccomp;
    unsigned preserved_fds = 0;
};
/// The process of `exec`, after it joined the namespaces.
[[noreturn]] void run_exec_child(const ExecRequest& request, BorrowedFd channel);

}  // namespace berth::runtime
