#include "storage/tree_tar.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "base/error.h"
#include "storage/entry_file.h"

namespace berth::storage {
namespace {

using archive::EntryType;
using archive::TarChunk;
using archive::TarEntry;

// As long as every tar program reads them; it also bounds how many directories are open at a time.
constexpr std::size_t kMaxName = 4095;
// Fewer holes than this are not worth a map.
constexpr std::int64_t kMinHole = 64 << 10;
constexpr std::size_t kMaxTarChunks = 100'000;

// The container put something else there after it was looked at.
bool has_changed(int error) { return error == ENOENT || error == ELOOP || error == ENOTDIR; }

UniqueFd open_if_same(const Place& place, int flags) {
    UniqueFd fd{::openat(place.parent.get(), place.name.c_str(),
                         flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
    // ENXIO: it is a socket or a pipe now.
    if (!fd && !has_changed(errno) && errno != ENXIO) throw_errno("opening {}", place.path);
    return fd;
}

std::optional<EntryType> type_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG:
            return EntryType::file;
        case S_IFDIR:
            return EntryType::directory;
        case S_IFLNK:
            return EntryType::symlink;
        case S_IFCHR:
            return EntryType::char_device;
        case S_IFBLK:
            return EntryType::block_device;
        case S_IFIFO:
            return EntryType::fifo;
        default:
            return std::nullopt;
    }
}

bool belongs_into_archive(const std::string& xattr) {
    return xattr == "security.capability" ||
           (xattr.starts_with("user.") && !is_overlay_xattr(xattr));
}

std::optional<std::string> text_if_link(const Place& place) {
    try {
        return link_text(place);
    } catch (const Error& error) {
        if (has_changed(error.errno_value()) || error.errno_value() == EINVAL) return std::nullopt;
        throw;
    }
}

/// Where the file has data; nothing when it has no holes worth a map.
std::vector<TarChunk> chunks_of(BorrowedFd file, const struct stat& status) {
    std::vector<TarChunk> chunks;
    if (status.st_size - status.st_blocks * 512 < kMinHole) return chunks;
    std::int64_t data_size = 0;
    for (off_t at = 0; at < status.st_size && chunks.size() < kMaxTarChunks;) {
        const off_t data = ::lseek(file.get(), at, SEEK_DATA);
        if (data < 0 && errno != ENXIO) return {};
        if (data < 0 || data >= status.st_size) break;
        off_t hole = ::lseek(file.get(), data, SEEK_HOLE);
        if (hole < 0 || chunks.size() + 1 == kMaxTarChunks) hole = status.st_size;
        at = std::min<off_t>(hole, status.st_size);
        chunks.push_back({data, at - data});
        data_size += at - data;
    }
    if (status.st_size - data_size < kMinHole) return {};
    // As GNU tar does it: the last piece tells the reader where the file ends.
    chunks.push_back({status.st_size, 0});
    return chunks;
}

}  // namespace

struct TreeTar::Level final {
    UniqueFd directory;
    std::string prefix;
    std::vector<std::string> names;
    std::size_t next = 0;

    Level(UniqueFd opened, std::string text)
        : directory(std::move(opened)), prefix(std::move(text)) {
        names = names_in(directory, prefix);
        std::ranges::sort(names);
    }
};

void TreeTar::check_stop(const std::string& path) const {
    if (stop_.stop_requested()) throw Error(ErrorKind::cancelled, "reading {} was cancelled", path);
}

void TreeTar::add(const Place& place, const std::string& name) {
    const struct stat status = status_of(place);
    if (status.st_mode != 0) add_entry(place, status, name);
}

void TreeTar::add_tree(const Place& place, const std::string& name) {
    const struct stat status = status_of(place);
    if (status.st_mode == 0) return;
    if (!S_ISDIR(status.st_mode)) return add_entry(place, status, name);
    const UniqueFd directory = open_if_same(place, O_DIRECTORY);
    if (!directory) return;
    add_entry(place, status, name);
    add_content(directory, name.ends_with('/') ? name : name + "/");
}

// No recursion: a container may nest directories deeper than a worker's stack is.
void TreeTar::add_content(BorrowedFd directory, const std::string& prefix) {
    std::vector<Level> levels;
    levels.emplace_back(duplicate(directory), prefix);
    while (!levels.empty()) {
        Level& level = levels.back();
        if (level.next == level.names.size()) {
            levels.pop_back();
            continue;
        }
        const std::string& name = level.names[level.next++];
        const std::string path = level.prefix + name;
        check_stop(path);
        const Place place{level.directory, name, path};
        const struct stat status = status_of(place);
        if (status.st_mode == 0) continue;
        if (!S_ISDIR(status.st_mode)) {
            add_entry(place, status, path);
            continue;
        }
        UniqueFd below = open_if_same(place, O_DIRECTORY);
        if (!below) continue;
        add_entry(place, status, path);
        levels.emplace_back(std::move(below), path + "/");
    }
}

void TreeTar::add_entry(const Place& place, const struct stat& status, const std::string& name) {
    const auto type = type_of(status.st_mode);
    if (!type) return;
    if (name.size() > kMaxName)
        throw Error(ErrorKind::invalid, "the path {}… is too long for an archive",
                    name.substr(0, 64));
    const Attributes attributes = attributes_of(place, status);
    Owner owner{attributes.uid, attributes.gid};
    if (owner_) owner = owner_(owner);
    TarEntry entry{.path = name,
                   .type = *type,
                   .mode = attributes.mode,
                   .uid = owner.uid,
                   .gid = owner.gid,
                   .modified = to_timestamp(attributes.modified)};
    if (mode_ && *type != EntryType::symlink) entry.mode = mode_(status.st_mode);
    std::ranges::copy_if(attributes.xattrs, std::inserter(entry.xattrs, entry.xattrs.end()),
                         [](const auto& item) { return belongs_into_archive(item.first); });
    if (*type != EntryType::directory && link_to_earlier(status, entry))
        return tar_.add(std::move(entry));
    if (*type == EntryType::file) return add_file(place, std::move(entry));
    if (*type == EntryType::directory && !name.ends_with('/')) entry.path += '/';
    if (*type == EntryType::symlink) {
        auto target = text_if_link(place);
        if (!target) return;
        entry.link_target = *std::move(target);
    }
    if (*type == EntryType::char_device || *type == EntryType::block_device) {
        entry.device_major = ::major(status.st_rdev);
        entry.device_minor = ::minor(status.st_rdev);
    }
    tar_.add(std::move(entry));
}

bool TreeTar::link_to_earlier(const struct stat& status, TarEntry& entry) {
    if (status.st_nlink < 2) return false;
    const auto [earlier, is_new] =
        first_of_inode_.try_emplace(InodeKey{status.st_dev, status.st_ino}, entry.path);
    if (is_new) return false;
    entry.type = EntryType::hard_link;
    entry.link_target = earlier->second;
    entry.xattrs.clear();
    return true;
}

void TreeTar::add_file(const Place& place, TarEntry entry) {
    const UniqueFd file = open_if_same(place, 0);
    struct stat status {};
    if (!file) return;
    if (::fstat(file.get(), &status) < 0) throw_errno("{}", place.path);
    if (!S_ISREG(status.st_mode)) return;
    entry.size = status.st_size;
    const std::vector<TarChunk> chunks = chunks_of(file, status);
    if (chunks.empty()) {
        tar_.begin_file(entry);
        return copy(file, 0, status.st_size, place.path);
    }
    tar_.begin_sparse(entry, chunks);
    for (const TarChunk& chunk : chunks)
        copy(file, chunk.offset, chunk.offset + chunk.size, place.path);
}

void TreeTar::copy(BorrowedFd file, std::int64_t from, std::int64_t to, const std::string& path) {
    block_.resize(archive::kBlockSize);
    while (from < to) {
        check_stop(path);
        const auto wanted =
            std::min<std::int64_t>(static_cast<std::int64_t>(block_.size()), to - from);
        ssize_t count = ::pread(file.get(), block_.data(), static_cast<std::size_t>(wanted), from);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw_errno("reading {}", path);
        if (count == 0) {
            // It shrank after its size was told; zeros take the place of what is gone.
            std::ranges::fill(block_, '\0');
            count = wanted;
        }
        tar_.write(std::string_view(block_).substr(0, static_cast<std::size_t>(count)));
        from += count;
    }
}

void TreeTar::add_whiteout(const std::string& name) {
    const SplitPath parts = split_path(name);
    tar_.add({.path = join_path(parts.directory, ".wh." + parts.name), .mode = 0});
}

}  // namespace berth::storage
