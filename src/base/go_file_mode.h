// Go's io/fs.FileMode, which modes have in the API and on BuildKit's wire. Pure.
#pragma once

#include <sys/stat.h>

#include <cstdint>

namespace berth {

constexpr std::uint32_t kGoDirectory = 1U << 31;
constexpr std::uint32_t kGoSymlink = 1U << 27;
constexpr std::uint32_t kGoDevice = 1U << 26;
constexpr std::uint32_t kGoPipe = 1U << 25;
constexpr std::uint32_t kGoSocket = 1U << 24;
constexpr std::uint32_t kGoSetUid = 1U << 23;
constexpr std::uint32_t kGoSetGid = 1U << 22;
constexpr std::uint32_t kGoCharacter = 1U << 21;
constexpr std::uint32_t kGoSticky = 1U << 20;
constexpr std::uint32_t kGoIrregular = 1U << 19;
constexpr std::uint32_t kGoTypes =
    kGoDirectory | kGoSymlink | kGoDevice | kGoPipe | kGoSocket | kGoCharacter | kGoIrregular;

/// Permission, suid, sgid and sticky bits.
constexpr mode_t permissions_of_go(std::uint32_t go) {
    return (go & 0777) | ((go & kGoSetUid) != 0 ? S_ISUID : 0) |
           ((go & kGoSetGid) != 0 ? S_ISGID : 0) | ((go & kGoSticky) != 0 ? S_ISVTX : 0);
}

/// Kind and permissions of st_mode.
constexpr std::uint32_t go_file_mode(mode_t mode) {
    const std::uint32_t kind = S_ISDIR(mode)    ? kGoDirectory
                               : S_ISLNK(mode)  ? kGoSymlink
                               : S_ISBLK(mode)  ? kGoDevice
                               : S_ISCHR(mode)  ? kGoDevice | kGoCharacter
                               : S_ISFIFO(mode) ? kGoPipe
                               : S_ISSOCK(mode) ? kGoSocket
                                                : 0;
    return kind | (mode & 0777) | ((mode & S_ISUID) != 0 ? kGoSetUid : 0) |
           ((mode & S_ISGID) != 0 ? kGoSetGid : 0) | ((mode & S_ISVTX) != 0 ? kGoSticky : 0);
}

}  // namespace berth
