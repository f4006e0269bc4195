// One member of a tar archive, as both the reader and the writer know it. Plain values; the path is
// as it stands in the archive (not cleaned: whoever writes files must do that).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace berth::archive {

enum class EntryType { file, directory, symlink, hard_link, char_device, block_device, fifo };

std::string_view to_string(EntryType type);

struct TarEntry final {
    std::string path;
    EntryType type = EntryType::file;
    std::string link_target;  // of a symbolic or hard link
    mode_t mode = 0644;       // permission, suid, sgid and sticky bits only
    std::int64_t uid = 0;
    std::int64_t gid = 0;
    std::string user_name;
    std::string group_name;
    std::int64_t size = 0;  // of the content, holes included
    Timestamp modified;
    std::uint32_t device_major = 0;
    std::uint32_t device_minor = 0;
    std::map<std::string, std::string> xattrs;
    bool sparse = false;  // the content has holes, which read as zeros
};

/// A piece of a file's content that the archive stores; the rest are holes.
struct TarChunk final {
    std::int64_t offset = 0;
    std::int64_t size = 0;
};

}  // namespace berth::archive
