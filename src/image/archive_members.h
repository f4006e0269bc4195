// The members of an archive that is loaded, by name. One pass writes their content into a nameless
// file; nothing is ever unpacked by path, so "..", absolute names and links lead nowhere.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "archive/input_limits.h"
#include "archive/stream.h"
#include "base/unique_fd.h"

namespace berth::image {

class ArchiveMembers final {
  public:
    /// Reads the tar to its end into `spool`. Throws Error{invalid} for a damaged archive.
    ArchiveMembers(archive::Source& tar, UniqueFd spool, std::stop_token stop,
                   const archive::Expansion& limit = {});

    /// Symbolic and hard links to other members are followed.
    bool contains(const std::string& name) const;
    std::int64_t size(const std::string& name) const;
    /// Throws Error{invalid} when absent or larger than `limit`.
    std::string text(const std::string& name, std::size_t limit) const;
    /// Throws Error{invalid} when absent. The source borrows this object; read to its end, it is a
    /// use that is finished.
    std::unique_ptr<archive::Source> open(const std::string& name);

    /// A file will be used once more. When all expected uses are finished its content goes from the
    /// disk, before anything flushes it in vain. Absent ones are passed over. Any thread.
    void expect_use(const std::string& name);
    void finish_use(const std::string& name);

  private:
    struct Place final {
        std::int64_t offset = 0;
        std::int64_t size = 0;
    };
    std::optional<Place> find(std::string name) const;
    Place need(const std::string& name) const;

    UniqueFd spool_;
    std::map<std::string, Place> files_;
    std::map<std::string, std::string> links_;  // name to name
    std::mutex mutex_;                          // guards uses_
    std::map<std::int64_t, std::size_t> uses_;  // by offset
};

/// "./a//b/../c" -> "a/c"; nothing when it leads above the archive's root.
std::optional<std::string> clean_member_name(const std::string& name);

}  // namespace berth::image
