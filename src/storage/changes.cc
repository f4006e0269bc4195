#include "storage/changes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "linux/rooted_path.h"
#include "storage/entry_file.h"
#include "storage/inode.h"
#include "storage/layer_view.h"
#include "storage/tree_tar.h"

namespace berth::storage {
namespace {

constexpr std::string_view kWhiteoutMark = ".wh.";
constexpr const char* kCapability = "security.capability";

const std::string& own_directory(const RootfsMount& rootfs) {
    return rootfs.kind == DriverKind::copy ? rootfs.path : rootfs.upperdir;
}

bool same_time(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

std::string capability_of(const Place& place, const struct stat& status) {
    const Xattrs xattrs = attributes_of(place, status).xattrs;
    const auto found = xattrs.find(kCapability);
    return found == xattrs.end() ? "" : found->second;
}

bool is_same(const Place& now, const struct stat& status, const LayerView::Found& before) {
    const struct stat& old = before.status;
    if (status.st_mode != old.st_mode || status.st_uid != old.st_uid || status.st_gid != old.st_gid)
        return false;
    if (S_ISDIR(status.st_mode)) return true;
    if (status.st_size != old.st_size || status.st_rdev != old.st_rdev ||
        !same_time(status.st_mtim, old.st_mtim))
        return false;
    return !S_ISREG(status.st_mode) ||
           capability_of(now, status) ==
               capability_of({before.parent, before.name, now.path}, before.status);
}

std::vector<UniqueFd> open_layers(const std::vector<std::string>& paths) {
    std::vector<UniqueFd> layers;
    for (const std::string& path : paths) layers.push_back(open_file(path, O_PATH | O_DIRECTORY));
    return layers;
}

class ChangeWalk final {
  public:
    ChangeWalk(const RootfsMount& rootfs, const std::vector<std::string>& layers,
               const std::set<std::string>& mount_points, std::stop_token stop)
        : mount_points_(mount_points),
          stop_(std::move(stop)),
          lower_fds_(open_layers(layers)),
          lower_({lower_fds_.begin(), lower_fds_.end()}),
          root_(open_file(own_directory(rootfs), O_RDONLY | O_DIRECTORY)),
          complete_(rootfs.kind == DriverKind::copy) {}

    std::vector<Change> run();

  private:
    /// A directory that is being looked at. No recursion: a container may nest them deeper than a
    /// worker's stack is.
    struct Level final {
        UniqueFd directory;
        std::string path;
        std::vector<std::string> names;
        std::size_t next = 0;
        std::size_t start = 0;           // changes before those inside
        std::optional<ChangeKind> kind;  // nothing: as it was, unless something inside changed
        bool complete = false;           // what is not in it is deleted
        bool in_lower = false;           // the layers have a directory there
    };

    void look_at(const std::string& name);
    void look_at_whiteout(const std::string& path);
    void enter(const Place& place, std::optional<ChangeKind> kind, bool in_lower);
    void add_deletions(const Level& level);
    void leave();
    bool is_above_mount_point(const std::string& path) const;

    const std::set<std::string>& mount_points_;
    std::stop_token stop_;
    std::vector<UniqueFd> lower_fds_;
    LayerView lower_;
    UniqueFd root_;
    bool complete_;
    std::vector<Level> levels_;
    std::vector<Change> changes_;
};

bool ChangeWalk::is_above_mount_point(const std::string& path) const {
    const auto next = mount_points_.lower_bound(path);
    if (next != mount_points_.end() && *next == path) return true;
    const auto below = mount_points_.lower_bound(path + "/");
    return below != mount_points_.end() && below->starts_with(path + "/");
}

void ChangeWalk::look_at_whiteout(const std::string& path) {
    if (lower_.find(path)) changes_.push_back({path, ChangeKind::deleted});
}

void ChangeWalk::enter(const Place& place, std::optional<ChangeKind> kind, bool in_lower) {
    UniqueFd fd{::openat(place.parent.get(), place.name.c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return;
    if (!fd) throw_errno("opening {}", place.path);
    Level level{.directory = std::move(fd), .path = place.path, .names = {}, .kind = kind};
    level.names = names_in(level.directory, level.path);
    level.start = changes_.size();
    level.complete = levels_.empty() ? complete_ : levels_.back().complete;
    level.complete = level.complete || is_opaque(level.directory);
    level.in_lower = in_lower;
    levels_.push_back(std::move(level));
}

void ChangeWalk::look_at(const std::string& name) {
    const Level& level = levels_.back();
    const std::string path = join_path(level.path, name);
    if (name.starts_with(kWhiteoutMark)) {
        const std::string hidden = name.substr(kWhiteoutMark.size());
        if (!hidden.starts_with(kWhiteoutMark)) look_at_whiteout(join_path(level.path, hidden));
        return;
    }
    const Place place{level.directory, name, path};
    const struct stat status = status_of(place);
    if (status.st_mode == 0) return;
    if (is_whiteout(status)) return look_at_whiteout(path);
    const auto before = lower_.find(path);
    std::optional<ChangeKind> kind = ChangeKind::added;
    if (before) kind = ChangeKind::modified;
    const bool both_directories =
        before && S_ISDIR(status.st_mode) && S_ISDIR(before->status.st_mode);
    if (before && (level.complete || both_directories) && is_same(place, status, *before))
        kind.reset();
    if (S_ISDIR(status.st_mode)) return enter(place, kind, both_directories);
    const bool made_for_mount =
        !before && S_ISREG(status.st_mode) && status.st_size == 0 && mount_points_.contains(path);
    if (kind && !made_for_mount && !S_ISSOCK(status.st_mode)) changes_.push_back({path, *kind});
}

// A layer's files that are no longer there.
void ChangeWalk::add_deletions(const Level& level) {
    const std::set<std::string> now(level.names.begin(), level.names.end());
    std::set<std::string> before;
    for (const UniqueFd& directory : lower_.directories_at(level.path))
        before.merge([&] {
            const std::vector<std::string> names = names_in(directory, level.path);
            return std::set<std::string>(names.begin(), names.end());
        }());
    for (const std::string& name : before) {
        if (now.contains(name) || name.starts_with(kWhiteoutMark)) continue;
        const std::string path = join_path(level.path, name);
        if (lower_.find(path)) changes_.push_back({path, ChangeKind::deleted});
    }
}

void ChangeWalk::leave() {
    const Level level = std::move(levels_.back());
    levels_.pop_back();
    if (level.complete && level.in_lower) add_deletions(level);
    const bool nothing_inside = changes_.size() == level.start;
    if (level.path.empty()) return;
    if (level.kind == ChangeKind::added && nothing_inside && is_above_mount_point(level.path))
        return;
    if (level.kind || !nothing_inside)
        changes_.push_back({level.path, level.kind.value_or(ChangeKind::modified)});
}

std::vector<Change> ChangeWalk::run() {
    enter({root_, ".", ""}, std::nullopt, true);
    while (!levels_.empty()) {
        if (stop_.stop_requested())
            throw Error(ErrorKind::cancelled, "looking for changes was cancelled");
        Level& level = levels_.back();
        if (level.next == level.names.size())
            leave();
        else
            look_at(std::string(level.names[level.next++]));
    }
    std::ranges::sort(changes_);
    return std::move(changes_);
}

}  // namespace

std::vector<Change> find_changes(const RootfsMount& rootfs, const std::vector<std::string>& layers,
                                 const std::set<std::string>& mount_points, std::stop_token stop) {
    return ChangeWalk(rootfs, layers, mount_points, std::move(stop)).run();
}

void write_changes(const RootfsMount& rootfs, const std::vector<Change>& changes, archive::Sink& to,
                   std::stop_token stop) {
    const UniqueFd root = open_file(own_directory(rootfs), O_RDONLY | O_DIRECTORY);
    TreeTar tar(to, std::move(stop));
    UniqueFd parent;
    std::string parent_path = "/";  // none yet
    for (const Change& change : changes) {
        if (change.kind == ChangeKind::deleted) {
            tar.add_whiteout(change.path);
            continue;
        }
        const SplitPath parts = split_path(change.path);
        if (parts.directory != parent_path) {
            parent =
                linux_os::try_open_in_root(root, parts.directory.empty() ? "." : parts.directory,
                                           O_PATH | O_DIRECTORY, linux_os::Resolve::no_symlinks);
            parent_path = parts.directory;
        }
        if (parent) tar.add({parent, parts.name, change.path}, change.path);
    }
    tar.finish();
}

}  // namespace berth::storage
