// Which user and group ids this process's user namespace knows (/proc/self/uid_map and gid_map): a
// file can be given to no other. Read once, then a plain value for any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace berth::linux_os {

class MappedIds final {
  public:
    /// Reads a map file. Throws Error.
    static MappedIds read(const std::string& path);
    static MappedIds users() { return read("/proc/self/uid_map"); }
    static MappedIds groups() { return read("/proc/self/gid_map"); }

    bool contains(std::int64_t id) const;
    /// How many there are from 0 on without a gap.
    std::int64_t count() const;
    /// What an id is in the namespace around ours. Throws Error for one that is not mapped.
    std::int64_t outside(std::int64_t id) const;
    /// "0-65536", for messages.
    std::string text() const;

  private:
    struct Range final {
        std::int64_t first = 0;
        std::int64_t outside = 0;
        std::int64_t count = 0;
    };
    std::vector<Range> ranges_;
};

}  // namespace berth::linux_os
