// Mounts overlay inside a user namespace (userxattr) and gives back a detached mount, which the
// caller attaches with attach_mount() or keeps as a descriptor. Needs CAP_SYS_ADMIN in the
// namespace that owns the mount namespace. No state; any thread. Throws Error with the errno.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace berth::linux_os {

struct OverlayLayout final {
    std::vector<std::string> lowerdirs;  // top first; at least one
    std::string upperdir;                // empty (with workdir): a read-only mount
    std::string workdir;                 // empty directory on the file system of upperdir
    /// fuse-overlayfs only: who owners on disk are in the mount, as its options take it.
    std::string uid_mapping, gid_mapping;
};

/// The new mount API with lowerdir+ (Linux 6.5); falls back to mount_overlay_classic() before that.
UniqueFd mount_overlay(const OverlayLayout& layout);
/// mount(2) with one option string, over the work directory (or the lowest layer) for a moment.
UniqueFd mount_overlay_classic(const OverlayLayout& layout);
/// The layout as fuse-overlayfs wants it behind -o.
std::string fuse_overlay_options(const OverlayLayout& layout);
/// move_mount(2) of a detached mount onto the directory `target`.
void attach_mount(BorrowedFd mount, const std::string& target);

}  // namespace berth::linux_os
