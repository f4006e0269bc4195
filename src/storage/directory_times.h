// The times of directories that an archive brings. They are set at the end, since what comes into a
// directory changes its time. Memory is bounded: of very many directories those that the walk has
// left get theirs early, which is exact for archives in the order of a walk. One thread.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include "base/unique_fd.h"

namespace berth::storage {

class DirectoryTimes final {
  public:
    /// Opens a directory by its path for reading; an empty one is gone meanwhile.
    using Open = std::function<UniqueFd(const std::string& path)>;
    explicit DirectoryTimes(Open open) : open_(std::move(open)) {}

    /// `path` has neither leading nor trailing slashes; "" is the root.
    void set(const std::string& path, timespec modified);
    bool has(const std::string& path) const { return times_.contains(path); }
    /// Of that directory and all below it.
    void forget(const std::string& path);
    /// Gives all of them their times.
    void apply();

  private:
    using Times = std::map<std::string, timespec>;
    Times::iterator erase(Times::iterator item);
    void apply_to(const std::string& path, timespec modified) const;
    void apply_left(const std::string& current);

    Open open_;
    Times times_;
    std::size_t size_ = 0;  // bytes of memory, about
};

}  // namespace berth::storage
