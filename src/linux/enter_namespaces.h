// How the engine and the network process move into the namespaces that the holder pins
// (docs/processes.md). Call while the process has a single thread: the kernel refuses setns of user
// and mount namespaces otherwise. Order: user and mount namespaces, ids, then (engine) a mount
// namespace of its own. All throw Error.
#pragma once

#include "base/unique_fd.h"

namespace berth::linux_os {

/// Descriptors that the supervisor gives to its children.
constexpr int kSupervisorChannelFd = 3;
constexpr int kHolderPidFd = 4;

/// Takes ownership of a descriptor that the supervisor passed, and makes it CLOEXEC: neither shim
/// nor container may inherit it. Throws Error when it is not open.
UniqueFd take_inherited(int fd);

/// Joins the holder's user and mount namespaces and becomes root there: no supplementary groups,
/// uid and gid 0, all capabilities. Stays in the caller's network namespace. The process stays
/// dumpable, so that /proc/self belongs to it. Working directory: "/".
void enter_user_and_mount_namespaces(BorrowedFd holder);
/// Moves the calling THREAD into the network namespace of a process (pidfd) or of a namespace file;
/// for the holder's it needs the step above before.
void enter_network_namespace(BorrowedFd target);
/// A mount namespace of the caller's own; host mounts still arrive, nothing goes back (slave).
void unshare_mounts();

}  // namespace berth::linux_os
