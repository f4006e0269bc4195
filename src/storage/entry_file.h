// What a tar's entry means on disk: clean names, attributes, content with holes. Shared by those
// who write layers and those who write into a container. No state. Throws Error.
#pragma once

#include <cstdint>
#include <string>

#include "archive/tar_reader.h"
#include "base/unique_fd.h"
#include "linux/mapped_ids.h"
#include "storage/inode.h"

namespace berth::storage {

/// "a" and "b" as "a/b"; the root is "".
std::string join_path(const std::string& directory, const std::string& name);

struct SplitPath final {
    std::string directory;
    std::string name;
};
/// "a/b/c" as "a/b" and "c".
SplitPath split_path(const std::string& path);

/// "./a//b/../c" -> "a/c"; the root is "". A name that climbs above it is Error{invalid}.
std::string clean_entry_path(const std::string& path);

timespec to_timespec(Timestamp at);
Timestamp to_timestamp(const timespec& at);

/// Which ids a file can be given here.
struct KnownIds final {
    linux_os::MappedIds users = linux_os::MappedIds::users();
    linux_os::MappedIds groups = linux_os::MappedIds::groups();
};
/// Throws Error{invalid} for owners that the user namespace has no ids for.
Attributes attributes_of(const archive::TarEntry& entry, const KnownIds& ids);

/// Of the current entry's content without its holes.
std::uint64_t stored_size(const archive::TarReader& content);
/// The rest of the reader's current entry, with its holes.
void write_content(BorrowedFd file, const archive::TarEntry& entry, archive::TarReader& content);

}  // namespace berth::storage
