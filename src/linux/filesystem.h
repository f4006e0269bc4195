// What kind of file system a path is on, and how much of it is left. No state; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

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

}  // namespace berth::linux_os
