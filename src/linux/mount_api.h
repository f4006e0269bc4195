// The new mount API (open_tree, fsopen, fsmount, move_mount, mount_setattr): every mount is a
// descriptor that is attached to a target descriptor, so that no path below a container's root is
// ever resolved by the kernel a second time. Needs CAP_SYS_ADMIN in the mount namespace's owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace berth::linux_os {

enum class Depth { single, recursive };

/// A detached copy of the mount at `path` (open_tree with OPEN_TREE_CLONE). Throws Error.
UniqueFd clone_mount(const std::string& path, Depth depth);
/// The same of an open descriptor, which may be O_PATH; works for files as well.
UniqueFd clone_mount(BorrowedFd at, Depth depth);

/// A detached copy of what a process (pidfd) has mounted at `path`, below its root. Any thread: it
/// is done by a short-lived one that enters the process's mount namespace.
UniqueFd clone_mount_of(BorrowedFd process, const std::string& path);

/// One option of a file system: no value means a flag ("userxattr").
using FsOption = std::pair<std::string, std::optional<std::string>>;
/// A new, detached file system. `attributes` are MOUNT_ATTR_ flags. Throws Error that carries the
/// kernel's own explanation where it gave one.
UniqueFd make_filesystem(const std::string& type, const std::string& source,
                         const std::vector<FsOption>& options, std::uint64_t attributes);

/// Attaches a detached mount on the target (both descriptors; the target may be a file).
void attach_mount(BorrowedFd mount, BorrowedFd target);

struct MountChange final {
    std::uint64_t set = 0;          // MOUNT_ATTR_ flags
    std::uint64_t clear = 0;        // MOUNT_ATTR_ flags; the kernel refuses locked ones
    std::uint64_t propagation = 0;  // MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or none
};
/// mount_setattr(2) on a mount's descriptor. Only adding flags keeps the locked ones of a mount
/// that came from a more privileged mount namespace.
void change_mount(BorrowedFd mount, const MountChange& change, Depth depth);

/// Makes `new_root` the root of this mount namespace and drops the old one.
void pivot_to(BorrowedFd new_root);

/// The magic number of the file system that holds `fd`. Throws Error.
std::uint64_t filesystem_magic(BorrowedFd fd);
/// True when `fd` is the root of a mount (statx, Linux 5.8).
bool is_mount_root(BorrowedFd fd);

}  // namespace berth::linux_os
