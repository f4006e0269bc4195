// One cgroup of the version 2 hierarchy: made, entered by clone3, limited, frozen, killed, removed.
// Where there is no writable version 2 hierarchy (a plain user without delegation) there simply is
// no cgroup: open_or_make gives nothing and everything else goes on without.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace berth::linux_os {

class Cgroup final {
  public:
    /// The directory of the hierarchy, or nothing on a machine without version 2.
    static std::optional<std::string> hierarchy();
    /// Makes `path` (below the hierarchy) with its parents, enabling what controllers it may.
    /// Nothing when the caller is not allowed to. Throws Error{invalid} for a path with "..".
    static std::optional<Cgroup> open_or_make(const std::string& path);
    /// The cgroup in that directory; nothing when it is gone.
    static std::optional<Cgroup> open(const std::string& directory);

    const std::string& directory() const { return directory_; }
    BorrowedFd fd() const { return fd_; }
    /// Writes one interface file. False when the file does not exist (controller absent).
    bool write(const std::string& file, std::string_view text) const;
    std::string read(const std::string& file) const;
    void freeze() const;
    void thaw() const;
    bool frozen() const;
    /// SIGKILL to all inside (cgroup.kill, Linux 5.14).
    void kill_all() const;
    /// Removes the directory and those below it; a busy one stays.
    void remove() const;

  private:
    Cgroup(std::string directory, UniqueFd fd)
        : directory_(std::move(directory)), fd_(std::move(fd)) {}
    std::string directory_;
    UniqueFd fd_;
};

}  // namespace berth::linux_os
