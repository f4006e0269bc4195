#include "linux/rooted_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace berth::linux_os {
namespace {

/// ".." stays.
std::deque<std::string> split(std::string_view path) {
    std::deque<std::string> parts;
    while (!path.empty()) {
        const auto slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
        if (!part.empty() && part != ".") parts.emplace_back(part);
    }
    return parts;
}

std::vector<std::string> components_of(std::string_view path) {
    std::vector<std::string> parts;
    for (std::string& part : split(path)) {
        if (part != "..")
            parts.push_back(std::move(part));
        else if (!parts.empty())
            parts.pop_back();
    }
    return parts;
}

std::uint64_t resolve_flags(Resolve resolve) {
    switch (resolve) {
        case Resolve::in_root:
            return RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
        case Resolve::beneath:
            return RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
        case Resolve::no_symlinks:
            break;
    }
    return RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
}

int call_openat2(BorrowedFd root, const std::string& path, int flags, Resolve resolve,
                 mode_t mode) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
    if (flags & (O_CREAT | O_TMPFILE)) how.mode = mode;
    how.resolve = resolve_flags(resolve);
    const auto start = path.find_first_not_of('/');
    const std::string relative = start == std::string::npos ? "." : path.substr(start);
    // EAGAIN: a rename raced with the walk; the kernel asks to try again.
    constexpr int kAttempts = 64;
    for (int attempt = 0;; ++attempt) {
        const auto fd = static_cast<int>(
            ::syscall(SYS_openat2, root.get(), relative.c_str(), &how, sizeof how));
        if (fd >= 0 || errno != EAGAIN || attempt == kAttempts) return fd;
    }
}

}  // namespace

UniqueFd open_in_root(BorrowedFd root, const std::string& path, int flags, Resolve resolve,
                      mode_t mode) {
    UniqueFd fd{call_openat2(root, path, flags, resolve, mode)};
    if (!fd) throw_errno("opening {} in the root", path);
    return fd;
}

UniqueFd try_open_in_root(BorrowedFd root, const std::string& path, int flags, Resolve resolve,
                          mode_t mode) {
    UniqueFd fd{call_openat2(root, path, flags, resolve, mode)};
    if (!fd && errno != ENOENT && errno != ENOTDIR) throw_errno("opening {} in the root", path);
    return fd;
}

UniqueFd make_directories_in_root(BorrowedFd root, const std::string& path, mode_t mode) {
    constexpr int kDirectory = O_PATH | O_DIRECTORY;
    std::string walked;
    UniqueFd current = open_in_root(root, "/", kDirectory, Resolve::in_root);
    for (const std::string& part : components_of(path)) {
        const std::string next_path = walked + "/" + part;
        UniqueFd next = try_open_in_root(root, next_path, kDirectory, Resolve::in_root);
        if (!next) {
            if (::mkdirat(current.get(), part.c_str(), mode) < 0 && errno != EEXIST)
                throw_errno("making directory {} in the root", next_path);
            next.reset(::openat(current.get(), part.c_str(), kDirectory | O_NOFOLLOW | O_CLOEXEC));
            if (!next) throw_errno("opening directory {} in the root", next_path);
        }
        walked = next_path;
        current = std::move(next);
    }
    return current;
}

UniqueFd make_file_in_root(BorrowedFd root, const std::string& path) {
    if (UniqueFd found = try_open_in_root(root, path, O_PATH, Resolve::in_root)) return found;
    const auto slash = path.rfind('/');
    const UniqueFd parent = make_directories_in_root(root, path.substr(0, slash), 0755);
    // CVE-2024-45310: a link that appears meanwhile must not lead to a file elsewhere.
    UniqueFd file{::openat(parent.get(), path.substr(slash + 1).c_str(),
                           O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644)};
    if (!file) throw_errno("making the mount point {}", path);
    return file;
}

std::optional<std::string> read_file_in_root(BorrowedFd root, const std::string& path,
                                             std::size_t limit) {
    const UniqueFd place = try_open_in_root(root, path, O_PATH, Resolve::in_root);
    struct stat status {};
    if (!place || ::fstat(place.get(), &status) < 0) return std::nullopt;
    if (!S_ISREG(status.st_mode)) return "";
    const UniqueFd file =
        try_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, Resolve::in_root);
    if (!file || ::fstat(file.get(), &status) < 0 || !S_ISREG(status.st_mode)) return "";
    return read_all(file, limit);
}

std::string link_target(BorrowedFd link) {
    std::string text(4096, '\0');
    const ssize_t size = ::readlinkat(link.get(), "", text.data(), text.size());
    if (size < 0) throw_errno("reading a symbolic link");
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::string resolve_in_root(BorrowedFd root, const std::string& path) {
    constexpr int kMaxLinks = 40;
    std::deque<std::string> left = split(path);
    std::string done;
    for (int links = 0; !left.empty();) {
        const std::string part = std::move(left.front());
        left.pop_front();
        if (part == "..") {
            done.erase(std::min(done.size(), done.rfind('/')));
            continue;
        }
        const std::string next = done + "/" + part;
        const UniqueFd fd = try_open_in_root(root, next, O_PATH | O_NOFOLLOW, Resolve::no_symlinks);
        struct stat status {};
        if (!fd || ::fstat(fd.get(), &status) < 0 || !S_ISLNK(status.st_mode)) {
            done = next;
            continue;
        }
        if (++links > kMaxLinks)
            throw Error(ErrorKind::invalid, "{}: too many symbolic links on the way", path);
        const std::string target = link_target(fd);
        if (target.starts_with('/')) done.clear();
        const std::deque<std::string> more = split(target);
        left.insert(left.begin(), more.begin(), more.end());
    }
    return done.empty() ? "/" : done;
}

std::string clean_path(std::string_view path) {
    std::string clean;
    for (const std::string& part : components_of(path)) clean += "/" + part;
    return clean.empty() ? "/" : clean;
}

std::string clean_keeping_end(const std::string& path) {
    std::string clean = clean_path(path);
    if (base_of(path) == "." && clean != "/") return clean + "/.";
    if (path.ends_with('/') && clean != "/") clean += '/';
    return clean;
}

std::string base_of(const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    if (end == std::string::npos) return path.empty() ? "." : "/";
    const std::size_t slash = path.rfind('/', end);
    return path.substr(slash + 1, end - slash);
}

bool climbs_out(std::string_view path) {
    return fmt::format("/{}/", path).find("/../") != std::string::npos;
}

bool is_below(std::string_view path, std::string_view directory) {
    return path == directory || (path.starts_with(directory) && path[directory.size()] == '/');
}

}  // namespace berth::linux_os
