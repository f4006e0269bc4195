#include "storage/copy_tree.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "linux/rooted_path.h"
#include "oci/id_map.h"
#include "storage/copy_file.h"
#include "storage/entry_file.h"
#include "storage/inode.h"

namespace berth::storage {
namespace {

using InodeKey = std::pair<dev_t, ino_t>;

constexpr int kReadDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr std::string_view kCopiedWhiteoutPrefix = ".wh.";

UniqueFd open_place(const Place& place) {
    UniqueFd fd{::openat(place.parent.get(), place.name.c_str(), kReadDirectory)};
    if (!fd) throw_errno("opening {}", place.path);
    return fd;
}

struct stat with_new_owner(struct stat status, const CopyOptions& options) {
    status.st_uid = oci::mapped_id(options.uids, status.st_uid);
    status.st_gid = oci::mapped_id(options.gids, status.st_gid);
    return status;
}

class TreeCopy final {
  public:
    TreeCopy(BorrowedFd target, const CopyOptions& options) : target_(target), options_(options) {}

    // No recursion: an image may nest directories deeper than a worker's stack is.
    void copy_content(BorrowedFd source, BorrowedFd target) {
        enter({.source = duplicate(source), .target = duplicate(target)});
        while (true) {
            Level& level = levels_.back();
            if (level.next == level.names.size()) {
                if (levels_.size() == 1) return levels_.clear();
                leave();
                continue;
            }
            const std::string name = level.names[level.next++];
            const std::string path = join_path(level.path, name);
            if (options_.stop.stop_requested())
                throw Error(ErrorKind::cancelled, "copying {}: cancelled", path);
            copy_one({level.source, name, path}, {level.target, name, path});
        }
    }

  private:
    struct Level final {
        UniqueFd source, target;
        std::string path = {};
        struct stat status = {};
        std::vector<std::string> names = {};
        std::size_t next = 0;
    };

    void enter(Level level) {
        if (options_.whiteouts == Whiteouts::applied && is_opaque(level.source))
            for (const std::string& name : names_in(level.target, level.path))
                remove_at({level.target, name, join_path(level.path, name)});
        level.names = names_in(level.source, level.path);
        levels_.push_back(std::move(level));
    }

    void leave() {
        const Level& level = levels_.back();
        set_attributes(level.target, attributes_of({level.source, ".", level.path}, level.status),
                       level.path);
        if (options_.whiteouts == Whiteouts::copied && is_opaque(level.source))
            set_opaque(level.target, level.path);
        levels_.pop_back();
    }

    void copy_one(const Place& from, const Place& to) {
        const struct stat status = with_new_owner(status_of(from), options_);
        if (status.st_mode == 0) return;  // removed meanwhile
        if (options_.whiteouts == Whiteouts::applied) {
            if (is_whiteout(status)) return remove_at(to);
            if (to.name.starts_with(kCopiedWhiteoutPrefix)) {
                const std::string hidden = to.name.substr(kCopiedWhiteoutPrefix.size());
                // ".wh..." must not delete the directory above the copy.
                const bool names_nothing = hidden.empty() || hidden == "." || hidden == "..";
                if (!names_nothing && !hidden.starts_with(kCopiedWhiteoutPrefix))
                    remove_at({to.parent, hidden, to.path});
                return;
            }
        }
        if (S_ISDIR(status.st_mode)) return copy_directory(from, to, status);
        remove_at(to);
        if (status.st_nlink > 1 && link_to_earlier(to, status)) return;
        copy_leaf(from, to, status);
    }

    void copy_directory(const Place& from, const Place& to, const struct stat& status) {
        if (!S_ISDIR(status_of(to).st_mode)) {
            remove_at(to);
            if (::mkdirat(to.parent.get(), to.name.c_str(), 0700) < 0)
                throw_errno("making directory {}", to.path);
        }
        enter({.source = open_place(from),
               .target = open_place(to),
               .path = from.path,
               .status = status});
    }

    bool link_to_earlier(const Place& to, const struct stat& status) {
        const auto [earlier, is_new] =
            first_of_inode_.try_emplace(InodeKey{status.st_dev, status.st_ino}, to.path);
        if (is_new) return false;
        const SplitPath place = split_path(earlier->second);
        const UniqueFd parent = linux_os::open_in_root(
            target_, "/" + place.directory, O_PATH | O_DIRECTORY, linux_os::Resolve::no_symlinks);
        if (::linkat(parent.get(), place.name.c_str(), to.parent.get(), to.name.c_str(), 0) == 0)
            return true;
        if (errno != EMLINK) throw_errno("linking {} to {}", to.path, earlier->second);
        return false;
    }

    BorrowedFd target_;
    const CopyOptions& options_;
    std::map<InodeKey, std::string> first_of_inode_;
    std::vector<Level> levels_;
};

void copy_extent(BorrowedFd source, BorrowedFd target, off_t at, off_t end,
                 const std::string& path) {
    while (at < end) {
        off_t from = at;
        off_t to = at;
        const ssize_t count = ::copy_file_range(source.get(), &from, target.get(), &to,
                                                static_cast<std::size_t>(end - at), 0);
        if (count == 0) return;  // it shrank meanwhile
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw_errno("copying {}", path);
        at += count;
    }
}

// For file systems that cannot copy by themselves.
void copy_by_hand(BorrowedFd source, BorrowedFd target, const std::string& path) {
    std::string block(256U << 10, '\0');
    off_t at = 0;
    for (;;) {
        const ssize_t count = ::pread(source.get(), block.data(), block.size(), at);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw_errno("copying {}", path);
        if (count == 0) return;
        if (::lseek(target.get(), at, SEEK_SET) < 0) throw_errno("copying {}", path);
        write_all(target, std::string_view(block).substr(0, static_cast<std::size_t>(count)));
        at += count;
    }
}

void copy_bytes(BorrowedFd source, BorrowedFd target, off_t size, const std::string& path) {
    if (size == 0 || ::ioctl(target.get(), FICLONE, source.get()) == 0) return;
    if (::ftruncate(target.get(), size) < 0) throw_errno("copying {}", path);
    off_t at = 0;
    while (at < size) {
        const off_t data = ::lseek(source.get(), at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) return;  // a hole up to the end
        if (data < 0) return copy_by_hand(source, target, path);
        off_t hole = ::lseek(source.get(), data, SEEK_HOLE);
        if (hole < 0) hole = size;
        try {
            copy_extent(source, target, data, hole, path);
        } catch (const Error& error) {
            const int code = error.errno_value();
            if (code != EXDEV && code != EINVAL && code != EOPNOTSUPP && code != ENOSYS) throw;
            return copy_by_hand(source, target, path);
        }
        at = hole;
    }
}

void copy_regular(const Place& from, const Place& to, const struct stat& status) {
    const UniqueFd source{
        ::openat(from.parent.get(), from.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!source) throw_errno("opening {}", from.path);
    const UniqueFd target{::openat(to.parent.get(), to.name.c_str(),
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!target) throw_errno("making {}", to.path);
    copy_bytes(source, target, status.st_size, from.path);
    set_attributes(target, attributes_of(from, status), to.path);
}

/// Empty for one that went meanwhile: the tree may be in use.
UniqueFd try_open_place(const Place& place) {
    UniqueFd fd{::openat(place.parent.get(), place.name.c_str(), kReadDirectory)};
    if (!fd && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
        throw_errno("opening {}", place.path);
    return fd;
}

}  // namespace

void copy_leaf(const Place& from, const Place& to, const struct stat& status) {
    if (S_ISREG(status.st_mode)) return copy_regular(from, to, status);
    if (S_ISLNK(status.st_mode)) {
        if (::symlinkat(link_text(from).c_str(), to.parent.get(), to.name.c_str()) < 0)
            throw_errno("making link {}", to.path);
    } else if (::mknodat(to.parent.get(), to.name.c_str(), status.st_mode, status.st_rdev) < 0) {
        // Devices cannot be made in a user namespace, and could not be used there either.
        const bool device = S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode);
        if (device && errno == EPERM) return;
        throw_errno("making {}", to.path);
    }
    set_attributes(to, attributes_of(from, status));
}

void copy_tree(BorrowedFd source, BorrowedFd target, const CopyOptions& options) {
    TreeCopy(target, options).copy_content(source, target);
    const Place root{source, ".", "."};
    const struct stat status = with_new_owner(status_of(root), options);
    set_attributes(target, attributes_of(root, status), ".");
}

// No recursion: a container may nest directories deeper than a worker's stack is.
std::int64_t tree_size(BorrowedFd directory) {
    struct Level final {
        UniqueFd directory;
        std::string path = {};
        std::vector<std::string> names = {};
    };
    std::set<InodeKey> seen;
    std::int64_t total = 0;
    std::vector<Level> levels;
    const auto enter = [&](UniqueFd fd, const std::string& path) {
        std::vector<std::string> names = names_in(fd, path);
        levels.push_back({std::move(fd), path, std::move(names)});
    };
    for (enter(duplicate(directory), ""); !levels.empty();) {
        Level& level = levels.back();
        if (level.names.empty()) {
            levels.pop_back();
            continue;
        }
        const std::string name = std::move(level.names.back());
        level.names.pop_back();
        const Place place{level.directory, name, level.path + "/" + name};
        const struct stat status = status_of(place);
        if (S_ISREG(status.st_mode) &&
            (status.st_nlink == 1 || seen.insert({status.st_dev, status.st_ino}).second))
            total += status.st_size;
        if (!S_ISDIR(status.st_mode)) continue;
        if (UniqueFd below = try_open_place(place)) enter(std::move(below), place.path);
    }
    return total;
}

}  // namespace berth::storage
