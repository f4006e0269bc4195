// Namespaces by the names of the OCI specification, clone3(2), setns(2) and id maps.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace berth::linux_os {

/// CLONE_NEW* of "user", "mount", "pid", "network", "uts", "ipc", "cgroup", "time".
/// Throws Error{invalid}.
std::uint64_t namespace_flag(std::string_view type);
/// Its file name below /proc/PID/ns ("mnt", "net", ...; "pid_for_children" is not used).
std::string_view namespace_file(std::string_view type);

struct CloneRequest final {
    std::uint64_t flags = 0;  // CLONE_NEW*, CLONE_PARENT
    BorrowedFd cgroup;        // CLONE_INTO_CGROUP when set
};
struct Cloned final {
    pid_t pid = 0;  // 0 in the child
    UniqueFd pidfd;
};
/// fork(2) with namespaces. The caller must have no threads. Throws Error.
Cloned clone_process(const CloneRequest& request);

/// Writes /proc/PID/{uid,gid}_map. Directly when allowed, else through newuidmap/newgidmap.
/// `lines` are "inside outside count". Throws Error naming the program to install.
enum class IdKind { uid, gid };
struct IdRange final {
    std::uint32_t inside = 0;
    std::uint32_t outside = 0;
    std::uint32_t count = 0;
};
void write_id_map(pid_t pid, IdKind kind, const std::vector<IdRange>& ranges);

/// Brings the loopback interface of the caller's network namespace up.
void bring_loopback_up();

}  // namespace berth::linux_os
