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
    /// "0-65536", for messages.
    std::string text() const;

  private:
    struct Range final {
        std::int64_t first = 0;
        std::int64_t count = 0;
    };
    std::vector<Range> ranges_;
};

}  // namespace berth::linux_os
