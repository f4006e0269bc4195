// Makes a process in namespaces: one clone3 with everything that is new. Where namespaces are
// joined, a short-lived stage process joins them and clones the real one as its sibling
// (CLONE_PARENT), so that the caller itself never changes namespaces and is always the parent.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "linux/pid_fd.h"
#include "oci/runtime_spec.h"
#include "runtime/channel.h"
#include "runtime/plan.h"

namespace berth::runtime {

struct LaunchRequest final {
    std::uint64_t new_namespaces = 0;
    std::vector<NamespaceJoin> joins;
    BorrowedFd join_process;       // pidfd whose namespaces are joined (exec)
    std::uint64_t join_flags = 0;  // which of them
    BorrowedFd cgroup;             // none: stay where we are
    /// Where namespaces are joined: what the body needs from descriptor 3 on. It has no other, so
    /// that nobody who lives there finds one in /proc. Unset: all go along.
    std::optional<std::vector<BorrowedFd>> kept;
    /// Runs in the new process and must not return; an Error becomes Failed on the channel.
    std::function<void(BorrowedFd channel)> body;
};

struct Launched final {
    linux_os::PidFd process;
    UniqueFd channel;
};

/// Throws Error. The caller must be single-threaded.
Launched launch(const LaunchRequest& request);
/// Writes the id maps of a new user namespace.
void write_id_maps(pid_t pid, const oci::Linux& part);

}  // namespace berth::runtime
