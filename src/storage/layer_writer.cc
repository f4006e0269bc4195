#include "storage/layer_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "linux/rooted_path.h"
#include "storage/copy_file.h"
#include "storage/entry_file.h"

namespace berth::storage {
namespace {

using archive::EntryType;
using archive::TarEntry;

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kAufsPrefix = ".wh..wh.";
constexpr std::string_view kOpaqueName = ".wh..wh..opq";
constexpr std::size_t kMaxParents = 128;
constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

LayerWriter::LayerWriter(BorrowedFd root, LowerLayers lower, TarRecorder& recorder)
    : root_(root),
      recorder_(recorder),
      open_lower_(std::move(lower)),
      space_(root_),
      times_([this](const std::string& path) {
          return linux_os::open_in_root(root_, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY,
                                        linux_os::Resolve::no_symlinks);
      }) {}

const LayerView& LayerWriter::view() {
    if (!view_) {
        if (open_lower_) lower_ = open_lower_();
        std::vector<BorrowedFd> layers{root_};
        layers.insert(layers.end(), lower_.begin(), lower_.end());
        view_.emplace(std::move(layers));
    }
    return *view_;
}

void LayerWriter::add(const TarEntry& entry, archive::TarReader& content) {
    try {
        const std::string path = clean_entry_path(entry.path);
        if (!path.empty()) return add_below(entry, path, content);
        if (entry.type != EntryType::directory)
            throw Error(ErrorKind::invalid, "the root of a layer must be a directory");
        const Attributes attributes = attributes_of(entry, ids_);
        set_attributes(root_, attributes, "/");
        times_.set("", attributes.modified);
    } catch (Error& error) {
        throw error.while_("tar: {}", entry.path);
    }
}

void LayerWriter::add_below(const TarEntry& entry, const std::string& path,
                            archive::TarReader& content) {
    const SplitPath parts = split_path(path);
    // aufs's own directories (".wh..wh.plnk"), which Docker leaves out as well.
    if (!parts.directory.empty() && path.starts_with(kAufsPrefix)) return;
    if (parts.name.starts_with(kWhiteoutPrefix)) return add_whiteout(parts.directory, parts.name);
    const bool device =
        entry.type == EntryType::char_device || entry.type == EntryType::block_device;
    if (device) {
        constexpr std::size_t kMaxRecorded = 1000;
        if (skipped_.size() < kMaxRecorded) skipped_.push_back(path);
        return;
    }
    const Attributes attributes = attributes_of(entry, ids_);
    space_.take(stored_size(content));
    const auto parent = parent_of(parts.directory);
    const Place place{parent->fd, parts.name, join_path(parent->path, parts.name)};
    switch (entry.type) {
        case EntryType::directory:
            return add_directory(place, attributes);
        case EntryType::file:
            return add_file(place, entry, attributes, content);
        case EntryType::hard_link:
            return add_hard_link(place, entry);
        case EntryType::symlink:
            return add_symlink(place, entry, attributes);
        default:
            return add_special(place, entry, attributes);
    }
}

void LayerWriter::add_whiteout(const std::string& parent_path, const std::string& name) {
    if (name == kOpaqueName) {
        if (!open_lower_) return;
        const auto parent = parent_of(parent_path);
        return set_opaque(parent->fd, parent->path);
    }
    // Other names of this form were aufs's own records.
    if (name.starts_with(kAufsPrefix)) return;
    const std::string hidden = name.substr(kWhiteoutPrefix.size());
    if (hidden.empty() || hidden == "." || hidden == "..")
        throw Error(ErrorKind::invalid, "the whiteout names nothing");
    if (!open_lower_) return;
    const auto parent = parent_of(parent_path);
    const Place place{parent->fd, hidden, join_path(parent->path, hidden)};
    const struct stat status = status_of(place);
    // A whiteout hides lower layers only; what this layer brought stays.
    if (S_ISDIR(status.st_mode)) {
        const UniqueFd directory{::openat(parent->fd.get(), hidden.c_str(), kOpenDirectory)};
        if (!directory) throw_errno("opening {}", place.path);
        return set_opaque(directory, place.path);
    }
    if (status.st_mode == 0) make_whiteout(place);
}

// Makes room for something new: overwriting is replacing.
void LayerWriter::clear(const Place& place) {
    const struct stat status = status_of(place);
    if (S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode)) {
        parents_.clear();
        times_.forget(place.path);
    }
    if (S_ISREG(status.st_mode) && status.st_nlink == 1) size_ -= status.st_size;
    // The archive cannot be made again without what it brought and then replaced.
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))
        recorder_.replace(place.parent, place.name, place.path);
    else
        remove_at(place);
}

// A new file may hide a link of a lower layer that parents were reached through.
void LayerWriter::forget_links() {
    std::erase_if(parents_, [](const auto& item) { return item.first != item.second->path; });
}

void LayerWriter::add_directory(const Place& place, const Attributes& attributes) {
    bool replaces_whiteout = false;
    if (::mkdirat(place.parent.get(), place.name.c_str(), 0700) == 0) {
        forget_links();
    } else {
        if (errno != EEXIST) throw_errno("making the directory");
        const struct stat status = status_of(place);
        if (!S_ISDIR(status.st_mode)) {
            replaces_whiteout = is_whiteout(status);
            clear(place);
            if (::mkdirat(place.parent.get(), place.name.c_str(), 0700) < 0)
                throw_errno("making the directory");
        }
    }
    const UniqueFd fd{::openat(place.parent.get(), place.name.c_str(), kOpenDirectory)};
    if (!fd) throw_errno("opening the directory");
    if (replaces_whiteout) set_opaque(fd, place.path);
    set_attributes(fd, attributes, place.path);
    times_.set(place.path, attributes.modified);
}

void LayerWriter::add_file(const Place& place, const TarEntry& entry, const Attributes& attributes,
                           archive::TarReader& content) {
    constexpr int kCreate = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd fd{::openat(place.parent.get(), place.name.c_str(), kCreate, 0600)};
    if (!fd && errno == EEXIST) {
        clear(place);
        fd.reset(::openat(place.parent.get(), place.name.c_str(), kCreate, 0600));
    }
    if (!fd) throw_errno("making the file");
    write_content(fd, entry, content);
    recorder_.stored(place.path, content.stored_chunks());
    set_attributes(fd, attributes, place.path);
    size_ += entry.size;
}

void LayerWriter::add_hard_link(const Place& place, const TarEntry& entry) {
    const SplitPath target = split_path(clean_entry_path(entry.link_target));
    const auto there = parent_of(target.directory);
    const std::string target_path = join_path(there->path, target.name);
    if (target_path == place.path) return;
    const struct stat status = status_of({there->fd, target.name, target_path});
    if (status.st_mode == 0) copy_up(target_path);
    if (S_ISDIR(status.st_mode) || is_whiteout(status))
        throw Error(ErrorKind::invalid, "the hard link's target {} is not a file",
                    entry.link_target);
    const auto link = [&] {
        return ::linkat(there->fd.get(), target.name.c_str(), place.parent.get(),
                        place.name.c_str(), 0);
    };
    if (link() == 0) return;
    if (errno == EEXIST) {
        clear(place);
        if (link() == 0) return;
    }
    throw_errno("linking to {}", entry.link_target);
}

void LayerWriter::copy_up(const std::string& path) {
    const auto found = view().find(path);
    if (!found || S_ISDIR(found->status.st_mode))
        throw Error(ErrorKind::invalid, "the hard link's target {} does not exist", path);
    const SplitPath parts = split_path(path);
    const UniqueFd parent = open_or_make(parts.directory);
    space_.take(static_cast<std::uint64_t>(found->status.st_blocks) * 512);
    copy_leaf({found->parent, found->name, path}, {parent, parts.name, path}, found->status);
    if (S_ISREG(found->status.st_mode)) size_ += found->status.st_size;
}

void LayerWriter::add_symlink(const Place& place, const TarEntry& entry,
                              const Attributes& attributes) {
    const auto link = [&] {
        return ::symlinkat(entry.link_target.c_str(), place.parent.get(), place.name.c_str());
    };
    int result = link();
    if (result < 0 && errno == EEXIST) {
        clear(place);
        result = link();
    }
    if (result < 0) throw_errno("making the symbolic link");
    forget_links();
    set_attributes(place, attributes);
}

void LayerWriter::add_special(const Place& place, const TarEntry& entry,
                              const Attributes& attributes) {
    if (entry.type != EntryType::fifo)
        throw Error(ErrorKind::invalid, "a {} cannot be unpacked", to_string(entry.type));
    clear(place);
    if (::mkfifoat(place.parent.get(), place.name.c_str(), 0600) < 0) throw_errno("making a fifo");
    set_attributes(place, attributes);
}

std::shared_ptr<const LayerWriter::Parent> LayerWriter::parent_of(const std::string& directory) {
    if (const auto cached = parents_.find(directory); cached != parents_.end())
        return cached->second;
    UniqueFd fd;
    std::string path = directory;
    // The usual case in one call: the tar brought the directory, and no link is on the way.
    try {
        fd = linux_os::try_open_in_root(root_, directory.empty() ? "." : directory,
                                        O_RDONLY | O_DIRECTORY, linux_os::Resolve::no_symlinks);
    } catch (const Error& error) {
        if (error.errno_value() != ELOOP) throw;
    }
    bool bare = false;
    if (!fd) {
        // Level by level: looking each one up from the root takes quadratic time on a deep path.
        const SplitPath parts = split_path(directory);
        const auto up = parent_of(parts.directory);
        path = join_path(up->path, parts.name);
        const auto found = up->bare ? std::nullopt : view().find(path);
        if (found && !S_ISDIR(found->status.st_mode)) {  // a link, or a file, which is refused
            path = view().resolve(directory);
            fd = open_or_make(path);
        } else {
            fd = UniqueFd(::openat(up->fd.get(), parts.name.c_str(), kOpenDirectory));
            bare = !fd && !found;
            if (!fd) fd = make_implied({up->fd, parts.name, path}, found);
        }
    }
    if (parents_.size() >= kMaxParents) parents_.clear();
    auto parent = std::make_shared<const Parent>(Parent{std::move(fd), std::move(path), bare});
    parents_.insert_or_assign(directory, parent);
    return parent;
}

UniqueFd LayerWriter::open_or_make(const std::string& directory) {
    UniqueFd current = duplicate(root_);
    std::string path;
    for (const std::string& part : components_of(directory)) {
        path = join_path(path, part);
        UniqueFd next{::openat(current.get(), part.c_str(), kOpenDirectory)};
        if (!next) next = make_implied({current, part, path}, view().find(path));
        current = std::move(next);
    }
    return current;
}

// A directory that the tar does not bring: as it is below, else root's and 0755.
UniqueFd LayerWriter::make_implied(const Place& place,
                                   const std::optional<LayerView::Found>& below) {
    // It would read as a whiteout, and ".wh..." even as one of its parent.
    if (place.name.starts_with(kWhiteoutPrefix))
        throw Error(ErrorKind::invalid, "{} is the name of a whiteout, not of a directory",
                    place.path);
    const struct stat status = status_of(place);
    const bool whiteout = is_whiteout(status);
    if (status.st_mode != 0 && !whiteout)
        throw Error(ErrorKind::invalid, "{} is not a directory", place.path);
    Attributes attributes;
    attributes.modified = {.tv_sec = 0, .tv_nsec = UTIME_NOW};
    if (below) attributes = attributes_of({below->parent, below->name, place.path}, below->status);
    if (whiteout) clear(place);
    if (::mkdirat(place.parent.get(), place.name.c_str(), 0700) < 0)
        throw_errno("making directory {}", place.path);
    UniqueFd fd{::openat(place.parent.get(), place.name.c_str(), kOpenDirectory)};
    if (!fd) throw_errno("opening {}", place.path);
    if (whiteout) set_opaque(fd, place.path);
    set_attributes(fd, attributes, place.path);
    if (attributes.modified.tv_nsec != UTIME_NOW) times_.set(place.path, attributes.modified);
    return fd;
}

void LayerWriter::finish() {
    parents_.clear();
    times_.apply();
}

}  // namespace berth::storage
