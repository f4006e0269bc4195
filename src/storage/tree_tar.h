// Writes files and trees into a tar archive: owners as inside the container, hard links, holes,
// extended attributes (user.* and file capabilities). Never follows a symbolic link; what is gone
// or another thing by the time it is opened is left out, since a container may run meanwhile.
// Sockets are left out. One thread; borrows the sink. Throws Error, {cancelled} on stop.
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <utility>

#include "archive/stream.h"
#include "archive/tar_writer.h"
#include "storage/inode.h"

namespace berth::storage {

/// From a file's mode, type included, to the permission bits in the archive.
using ModeMap = std::function<mode_t(mode_t)>;

class TreeTar final {
  public:
    explicit TreeTar(archive::Sink& to, std::stop_token stop = {}, OwnerMap owner = {},
                     ModeMap mode = {})
        : tar_(to), stop_(std::move(stop)), owner_(std::move(owner)), mode_(std::move(mode)) {}
    /// What is at the place, as the entry `name`; of a directory all that is below it too.
    void add_tree(const Place& place, const std::string& name);
    /// What is in the directory; its names follow `prefix`, which is empty or ends with a slash.
    void add_content(BorrowedFd directory, const std::string& prefix);
    /// What is at the place without what is below it.
    void add(const Place& place, const std::string& name);
    /// "a/b" was deleted: the entry "a/.wh.b".
    void add_whiteout(const std::string& name);
    void finish() { tar_.finish(); }

  private:
    struct Level;
    using InodeKey = std::pair<dev_t, ino_t>;

    void add_entry(const Place& place, const struct stat& status, const std::string& name);
    void add_file(const Place& place, archive::TarEntry entry);
    bool link_to_earlier(const struct stat& status, archive::TarEntry& entry);
    void copy(BorrowedFd file, std::int64_t from, std::int64_t to, const std::string& path);
    void check_stop(const std::string& path) const;

    archive::TarWriter tar_;
    std::stop_token stop_;
    OwnerMap owner_;  // from the disk's to the archive's
    ModeMap mode_;
    std::map<InodeKey, std::string> first_of_inode_;
    std::string block_;
};

}  // namespace berth::storage
