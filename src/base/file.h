// Whole files: read with a limit, replaced atomically. For anything below a container's root use
// linux/rooted_path.h instead; these take trusted paths only.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace berth {

enum class Durability {
    process,  // rename only: survives a crash of the process (run-time directory)
    power,    // fsync of file and directory: survives a crash of the machine
};

constexpr std::size_t kMaxRecord = 16U << 20;

/// Opens with O_CLOEXEC. Throws Error naming the path.
UniqueFd open_file(const std::string& path, int flags, mode_t mode = 0);
/// The whole file. Throws Error{not_found} when absent, Error{invalid} past `limit` bytes.
std::string read_file(const std::string& path, std::size_t limit = kMaxRecord);
/// As read_file, but nothing when the file is absent.
std::optional<std::string> read_file_if_exists(const std::string& path,
                                               std::size_t limit = kMaxRecord);
/// Everything up to end of file from `fd`. Throws past `limit` bytes.
std::string read_all(BorrowedFd fd, std::size_t limit = kMaxRecord);
/// Writes all of `bytes`, over short writes and EINTR. Throws Error.
void write_all(BorrowedFd fd, std::string_view bytes);
/// Replaces `path` by a temporary file beside it and rename(2); a reader sees the old or the new.
void replace_file(const std::string& path, std::string_view content, mode_t mode,
                  Durability durability);
/// Removes what replace_file left in `directory` (not below) when its process was killed, and only
/// that. For the one process that writes there; an absent directory is fine.
void remove_unfinished_files(const std::string& directory);
/// mkdir -p with `mode` for each directory made. Throws Error.
void make_directories(const std::string& path, mode_t mode = 0755);
bool exists(const std::string& path);
/// rm -rf without following symbolic links; an absent path is fine.
void remove_tree(const std::string& path);

}  // namespace berth
