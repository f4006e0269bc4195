#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/id.h"

namespace berth {
namespace {

// How replace_file names what is not whole yet: the file's own name, this and random digits.
constexpr std::string_view kUnfinished = ".tmp-";
constexpr std::size_t kUnfinishedDigits = 8;

bool is_unfinished(std::string_view name) {
    constexpr std::size_t kSuffix = kUnfinished.size() + kUnfinishedDigits;
    if (name.size() <= kSuffix) return false;
    const std::string_view suffix = name.substr(name.size() - kSuffix);
    return suffix.starts_with(kUnfinished) &&
           suffix.find_first_not_of("0123456789abcdef", kUnfinished.size()) == suffix.npos;
}

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

// Directories that the owner cannot enter (mode 000 in an image) are opened up and tried again.
UniqueFd open_directory_at(int parent, const char* name) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = ::openat(parent, name, kFlags);
    if (fd < 0 && errno == EACCES && ::fchmodat(parent, name, 0700, 0) == 0)
        fd = ::openat(parent, name, kFlags);
    return UniqueFd{fd};
}

// False: it is a directory that is not empty.
bool remove_single(int parent, const char* name) {
    if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM && errno != EACCES) throw_errno("removing {}", name);
    const int unlink_errno = errno;
    if (::unlinkat(parent, name, AT_REMOVEDIR) == 0) return true;
    if (errno != ENOTEMPTY && errno != EEXIST)
        throw Error::from_errno(unlink_errno, fmt::format("removing {}", name));
    return false;
}

struct OpenDirectory final {
    std::string name;
    std::unique_ptr<DIR, CloseDir> entries;
    int fd() const { return ::dirfd(entries.get()); }
};

OpenDirectory open_to_remove(int parent, const char* name) {
    UniqueFd fd = open_directory_at(parent, name);
    if (!fd) throw_errno("removing {}", name);
    struct stat status {};
    if (::fstat(fd.get(), &status) == 0 && (status.st_mode & 0700) != 0700)
        ::fchmod(fd.get(), 0700);
    OpenDirectory directory{name, std::unique_ptr<DIR, CloseDir>(::fdopendir(fd.get()))};
    if (!directory.entries) throw_errno("listing {}", name);
    static_cast<void>(fd.release());
    return directory;
}

// No recursion: a container may nest directories deeper than a worker's stack is and than there are
// descriptors. What is too deep comes to the top first.
void remove_entry_at(int parent, const char* name) {
    constexpr std::size_t kMaxLevels = 64;
    if (remove_single(parent, name)) return;
    std::vector<OpenDirectory> levels;
    levels.push_back(open_to_remove(parent, name));
    bool moved = false;
    while (!levels.empty()) {
        const int directory = levels.back().fd();
        if (const dirent* entry = ::readdir(levels.back().entries.get())) {
            const char* below = entry->d_name;
            if (std::strcmp(below, ".") == 0 || std::strcmp(below, "..") == 0) continue;
            if (remove_single(directory, below)) continue;
            OpenDirectory next = open_to_remove(directory, below);
            if (levels.size() < kMaxLevels) {
                levels.push_back(std::move(next));
                continue;
            }
            moved = true;
            if (::renameat(directory, below, levels.front().fd(), random_hex_id().c_str()) < 0)
                throw_errno("removing {}", below);
            continue;
        }
        const int above = levels.size() > 1 ? levels[levels.size() - 2].fd() : parent;
        if (remove_single(above, levels.back().name.c_str())) {
            levels.pop_back();
        } else if (levels.size() == 1 && std::exchange(moved, false)) {
            ::rewinddir(levels.back().entries.get());
        } else {
            throw Error::from_errno(ENOTEMPTY, fmt::format("removing {}", levels.back().name));
        }
    }
}

}  // namespace

UniqueFd open_file(const std::string& path, int flags, mode_t mode) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd < 0) {
        const int saved = errno;
        const auto kind = saved == ENOENT ? ErrorKind::not_found : ErrorKind::internal;
        throw Error::with_text(kind, Error::from_errno(saved, "opening " + path).message(), saved);
    }
    return UniqueFd{fd};
}

std::string read_all(BorrowedFd fd, std::size_t limit) {
    std::string content;
    struct stat status {};
    if (::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode))
        content.reserve(std::min(static_cast<std::size_t>(status.st_size), limit) + 1);
    char buffer[16384];
    for (;;) {
        const ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw_errno("reading descriptor {}", fd.get());
        if (count == 0) return content;
        content.append(buffer, static_cast<std::size_t>(count));
        if (content.size() > limit)
            throw Error(ErrorKind::invalid, "file is larger than the limit of {} bytes", limit);
    }
}

std::string read_file(const std::string& path, std::size_t limit) {
    const UniqueFd fd = open_file(path, O_RDONLY);
    try {
        return read_all(fd, limit);
    } catch (Error& error) {
        throw error.while_("reading {}", path);
    }
}

std::optional<std::string> read_file_if_exists(const std::string& path, std::size_t limit) {
    try {
        return read_file(path, limit);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::not_found) return std::nullopt;
        throw;
    }
}

void write_all(BorrowedFd fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd.get(), bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw_errno("writing {} bytes", bytes.size());
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

void replace_file(const std::string& path, std::string_view content, mode_t mode,
                  Durability durability) {
    const std::string temporary =
        fmt::format("{}{}{}", path, kUnfinished, random_hex_id().substr(0, kUnfinishedDigits));
    UniqueFd fd = open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    try {
        ::fchmod(fd.get(), mode);
        write_all(fd, content);
        if (durability == Durability::power && ::fdatasync(fd.get()) < 0)
            throw_errno("syncing {}", temporary);
        fd.reset();
        if (::rename(temporary.c_str(), path.c_str()) < 0) throw_errno("renaming to {}", path);
    } catch (Error& error) {
        ::unlink(temporary.c_str());
        throw error.while_("writing {}", path);
    }
    if (durability == Durability::power) {
        const auto slash = path.rfind('/');
        const UniqueFd dir = open_file(slash == std::string::npos ? "." : path.substr(0, slash + 1),
                                       O_RDONLY | O_DIRECTORY);
        if (::fsync(dir.get()) < 0) throw_errno("syncing the directory of {}", path);
    }
}

void remove_unfinished_files(const std::string& directory) {
    std::error_code absent;
    for (const auto& entry : std::filesystem::directory_iterator(directory, absent))
        if (is_unfinished(entry.path().filename().string())) ::unlink(entry.path().c_str());
}

void make_directories(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return;
    if (errno != ENOENT) throw_errno("making directory {}", path);
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos || slash == 0) throw_errno("making directory {}", path);
    make_directories(path.substr(0, slash), mode);
    if (::mkdir(path.c_str(), mode) < 0 && errno != EEXIST)
        throw_errno("making directory {}", path);
}

bool exists(const std::string& path) {
    return ::faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void remove_tree(const std::string& path) {
    try {
        remove_entry_at(AT_FDCWD, path.c_str());
    } catch (Error& error) {
        throw error.while_("removing {}", path);
    }
}

}  // namespace berth
