#include "storage/inode.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace berth::storage {
namespace {

constexpr const char* kOpaque = "user.overlay.opaque";
constexpr const char* kFuseOpaque = "user.fuseoverlayfs.opaque";
constexpr const char* kOpaqueFile = ".wh..wh..opq";

std::string proc_path(BorrowedFd fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }
std::string proc_path(const Place& place) { return proc_path(place.parent) + "/" + place.name; }

// Extended attributes of other users' security systems cannot be set in a user namespace, and not
// every file system has all kinds: tar programs and Docker go on without them.
bool may_be_left_out(int error) {
    return error == EPERM || error == ENOTSUP || error == EACCES || error == EINVAL;
}

// fchmodat(2) would follow a link that a running container puts there meanwhile.
void set_mode(const Place& place, mode_t mode) {
    const UniqueFd fd{
        ::openat(place.parent.get(), place.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) < 0) throw_errno("{}", place.path);
    if (!S_ISLNK(status.st_mode) && ::chmod(proc_path(fd).c_str(), mode) < 0)
        throw_errno("{}: setting the mode", place.path);
}

template <typename Set>
void set_xattrs(const Xattrs& xattrs, const std::string& path, Set set) {
    for (const auto& [name, value] : xattrs) {
        if (is_overlay_xattr(name) || set(name.c_str(), value) == 0) continue;
        const int saved = errno;
        if (!may_be_left_out(saved))
            throw Error::from_errno(saved, fmt::format("{}: setting {}", path, name));
        log::debug("left out an extended attribute path={} name={} reason=\"{}\"", path, name,
                   errno_text(saved));
    }
}

Xattrs read_xattrs(const Place& place) {
    const std::string path = proc_path(place);
    std::string names(4096, '\0');
    ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
    if (size < 0 && errno == ERANGE) {
        names.resize(64U << 10);
        size = ::llistxattr(path.c_str(), names.data(), names.size());
    }
    Xattrs xattrs;
    if (size <= 0) return xattrs;
    names.resize(static_cast<std::size_t>(size));
    for (std::size_t at = 0; at < names.size();) {
        const char* name = names.data() + at;
        at += std::strlen(name) + 1;
        const ssize_t length = ::lgetxattr(path.c_str(), name, nullptr, 0);
        if (length < 0) continue;
        std::string value(static_cast<std::size_t>(length), '\0');
        const ssize_t got = ::lgetxattr(path.c_str(), name, value.data(), value.size());
        if (got < 0) continue;
        value.resize(static_cast<std::size_t>(got));
        xattrs.emplace(name, std::move(value));
    }
    return xattrs;
}

}  // namespace

struct stat status_of(const Place& place) {
    struct stat status {};
    if (::fstatat(place.parent.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
        return status;
    if (errno != ENOENT) throw_errno("{}", place.path);
    status.st_mode = 0;
    return status;
}

std::string link_text(const Place& place) {
    std::string text(4096, '\0');
    const ssize_t size =
        ::readlinkat(place.parent.get(), place.name.c_str(), text.data(), text.size());
    if (size < 0) throw_errno("reading link {}", place.path);
    text.resize(static_cast<std::size_t>(size));
    return text;
}

Attributes attributes_of(const Place& place, const struct stat& status) {
    return {.mode = status.st_mode & 07777U,
            .uid = status.st_uid,
            .gid = status.st_gid,
            .modified = status.st_mtim,
            .xattrs = read_xattrs(place)};
}

void set_attributes(BorrowedFd fd, const Attributes& wanted, const std::string& path) {
    if (::fchown(fd.get(), wanted.uid, wanted.gid) < 0)
        throw_errno("{}: giving it to {}:{}", path, wanted.uid, wanted.gid);
    set_xattrs(wanted.xattrs, path, [fd](const char* name, const std::string& value) {
        return ::fsetxattr(fd.get(), name, value.data(), value.size(), 0);
    });
    if (::fchmod(fd.get(), wanted.mode) < 0) throw_errno("{}: setting the mode", path);
    const timespec times[2] = {wanted.modified, wanted.modified};
    if (::futimens(fd.get(), times) < 0) throw_errno("{}: setting the time", path);
}

void set_attributes(const Place& place, const Attributes& wanted) {
    const int parent = place.parent.get();
    const char* name = place.name.c_str();
    if (::fchownat(parent, name, wanted.uid, wanted.gid, AT_SYMLINK_NOFOLLOW) < 0)
        throw_errno("{}: giving it to {}:{}", place.path, wanted.uid, wanted.gid);
    const std::string through_proc = proc_path(place);
    set_xattrs(wanted.xattrs, place.path,
               [&through_proc](const char* key, const std::string& value) {
                   return ::lsetxattr(through_proc.c_str(), key, value.data(), value.size(), 0);
               });
    set_mode(place, wanted.mode);
    const timespec times[2] = {wanted.modified, wanted.modified};
    if (::utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        throw_errno("{}: setting the time", place.path);
}

bool is_overlay_xattr(std::string_view name) {
    return name.starts_with("user.overlay.") || name.starts_with("trusted.overlay.") ||
           name.starts_with("user.fuseoverlayfs.");
}

bool is_whiteout(const struct stat& status) {
    return S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(0, 0);
}

void make_whiteout(const Place& place) {
    if (::mknodat(place.parent.get(), place.name.c_str(), S_IFCHR, ::makedev(0, 0)) == 0) return;
    if (errno != EPERM) throw_errno("{}: making a whiteout", place.path);
    const std::string name = ".wh." + place.name;
    const UniqueFd file{
        ::openat(place.parent.get(), name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
    if (!file) throw_errno("{}: making a whiteout", place.path);
}

bool is_opaque(BorrowedFd directory) {
    const std::string path = proc_path(directory);
    for (const char* mark : {kOpaque, kFuseOpaque}) {
        char value = 0;
        if (::getxattr(path.c_str(), mark, &value, 1) == 1 && value == 'y') return true;
    }
    return ::faccessat(directory.get(), kOpaqueFile, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void set_opaque(BorrowedFd directory, const std::string& path) {
    if (::setxattr(proc_path(directory).c_str(), kOpaque, "y", 1, 0) == 0) return;
    if (errno != ENOTSUP && errno != EPERM) throw_errno("{}: making it opaque", path);
    const UniqueFd file{
        ::openat(directory.get(), kOpaqueFile, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
    if (!file) throw_errno("{}: making it opaque", path);
}

void remove_at(const Place& place) {
    if (::unlinkat(place.parent.get(), place.name.c_str(), 0) == 0 || errno == ENOENT) return;
    try {
        remove_tree(proc_path(place));
    } catch (Error& error) {
        throw error.while_("replacing {}", place.path);
    }
}

std::vector<std::string> names_in(BorrowedFd directory, const std::string& path) {
    const int fd = ::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) throw_errno("listing {}", path);
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd), ::closedir);
    if (!stream) throw_errno("listing {}", path);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(stream.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    return names;
}

}  // namespace berth::storage
