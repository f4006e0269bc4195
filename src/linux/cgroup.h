// One cgroup of the version 2 hierarchy: made, entered by clone3, limited, frozen, killed, removed.
// Where a plain user may make none (no delegation) there simply is no cgroup: make() gives nothing
// and everything else goes on without. No cgroup is ever moved into: processes are born there.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace berth::linux_os {

/// One interface file and what is written to it.
struct CgroupWrite final {
    std::string file;
    std::string text;
    /// Not written when that one was: io.weight is the second choice after io.bfq.weight.
    std::string second_to;
    /// What is done where the kernel has no such file.
    enum class Absent { refused, ignored } absent = Absent::refused;
    bool operator==(const CgroupWrite&) const = default;
};

class Cgroup final {
  public:
    /// The directory of the hierarchy, or nothing on a machine without version 2.
    static std::optional<std::string> hierarchy();
    /// Makes `path` (below the hierarchy); parents that are missing are made with all controllers
    /// that may be passed on. An empty cgroup that somebody left there is replaced. Nothing when
    /// the caller is not allowed to. Throws Error{invalid} for a path with "..".
    static std::optional<Cgroup> make(const std::string& path);
    /// The cgroup in that directory; nothing when it is gone.
    static std::optional<Cgroup> open(const std::string& directory);

    const std::string& directory() const { return directory_; }
    BorrowedFd fd() const { return fd_; }
    /// Writes one interface file. False when the file does not exist (controller absent).
    bool write(const std::string& file, std::string_view text) const;
    /// Writes all in order. A controller that the parents have and did not pass on is enabled on
    /// the way. Throws Error{unavailable} naming the file of a controller that is not delegated.
    void apply(const std::vector<CgroupWrite>& writes) const;
    std::string read(const std::string& file) const;
    /// Returns when nothing inside runs any more.
    void freeze() const;
    void thaw() const;
    bool frozen() const;
    /// SIGKILL to all inside (cgroup.kill, Linux 5.14).
    void kill_all() const;
    /// Removes the directory and those below it; processes that are left are killed. One that
    /// cannot be removed within the time stays.
    void remove(std::chrono::milliseconds patience = std::chrono::seconds(2)) const;

  private:
    Cgroup(std::string directory, UniqueFd fd)
        : directory_(std::move(directory)), fd_(std::move(fd)) {}
    std::string directory_;
    UniqueFd fd_;
};

}  // namespace berth::linux_os
