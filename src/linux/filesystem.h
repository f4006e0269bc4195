// What kind of file system a path is on, how much of it is left, and that some of it stays free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.h"

namespace berth::linux_os {

/// "ext4", "nfs", ... of statfs(2)'s magic number; the number itself for an unknown one.
std::string filesystem_name(std::uint64_t magic);

struct FilesystemFacts final {
    std::string name;
    std::string mount_point;
    bool read_only = false;
    bool noexec = false;
    bool nosuid = false;
    std::uint64_t free_bytes = 0;  // for a plain user
    std::uint64_t free_inodes = 0;
    std::uint64_t inodes = 0;  // 0: made as needed (btrfs)
    /// What the user's own quota leaves; nothing without a quota.
    std::optional<std::uint64_t> quota_bytes;
};

/// Where the file system of `path` is mounted; empty when that cannot be told (Linux before 5.8).
std::string mount_point_of(const std::string& path);
/// Of an existing directory. Throws Error.
FilesystemFacts examine_filesystem(const std::string& path);

/// Keeps the last hundredth of a file system (256 MiB at most) free of what comes from outside: a
/// full disk stops all that its user does. Looks at the disk now and then. One thread.
class SpaceGuard final {
  public:
    /// Of the file system that `on` lies on; borrowed.
    explicit SpaceGuard(BorrowedFd on) : on_(on) {}
    /// Before a file is made or so many bytes are written. Throws the Error of ENOSPC.
    void take(std::uint64_t size);

  private:
    BorrowedFd on_;
    std::uint64_t budget_ = 0;  // what can be taken before the next look
};

}  // namespace berth::linux_os
