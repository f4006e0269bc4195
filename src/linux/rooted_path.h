// Names below a container's root: a directory descriptor and a relative path, resolved by openat2
// so that nothing leads outside (CVE-2021-30465, CVE-2024-45310). Nothing below a rootfs is ever
// reached by a string path from the host's root.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace berth::linux_os {

/// How openat2 treats symbolic links on the way.
enum class Resolve {
    in_root,      // RESOLVE_IN_ROOT: links are followed as in a chroot
    beneath,      // RESOLVE_BENEATH: links are followed, one that leads out (or is absolute) is an
                  // error
    no_symlinks,  // RESOLVE_BENEATH | NO_SYMLINKS | NO_MAGICLINKS: any link is an error
};

/// openat2(2) below `root`; `path` may begin with '/'. Throws Error naming the path, with EXDEV
/// when it leads out.
UniqueFd open_in_root(BorrowedFd root, const std::string& path, int flags, Resolve resolve,
                      mode_t mode = 0);
/// As open_in_root, but an absent path gives an empty descriptor.
UniqueFd try_open_in_root(BorrowedFd root, const std::string& path, int flags, Resolve resolve,
                          mode_t mode = 0);
/// Opens the directory `path`, making absent components one at a time below the root (O_NOFOLLOW
/// for each that is made, so that a racing symbolic link cannot lead outside).
UniqueFd make_directories_in_root(BorrowedFd root, const std::string& path, mode_t mode);
/// Opens the file `path`, O_PATH; an absent one is made, empty, with its directories.
UniqueFd make_file_in_root(BorrowedFd root, const std::string& path);
/// The text of a file; nothing when it is absent, "" for anything but a regular file: a pipe that a
/// container puts in its place is not waited for. Throws Error{invalid} past `limit` bytes.
std::optional<std::string> read_file_in_root(BorrowedFd root, const std::string& path,
                                             std::size_t limit);
/// `path` with every symbolic link on the way and at its end followed below the root, as text:
/// clean and absolute. What is not there stays as named. Throws Error for too many links.
std::string resolve_in_root(BorrowedFd root, const std::string& path);
/// The text of the symbolic link that `link` is open on (O_PATH | O_NOFOLLOW).
std::string link_target(BorrowedFd link);
/// Lexically clean absolute form: "a//b/../c" -> "/a/c". Never climbs above "/".
std::string clean_path(std::string_view path);
/// The same, but a final "/" or "/." stays, since it follows a link.
std::string clean_keeping_end(const std::string& path);
/// "a" of "/x/a", also of "/x/a/"; "." of "/x/."; "/" of the root.
std::string base_of(const std::string& path);
/// True for a path with a component "..".
bool climbs_out(std::string_view path);
/// True for `directory` itself and what is in it, by name; both are clean.
bool is_below(std::string_view path, std::string_view directory);

}  // namespace berth::linux_os
