#include "storage/extract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "archive/tar_reader.h"
#include "base/error.h"
#include "linux/filesystem.h"
#include "linux/rooted_path.h"
#include "storage/entry_file.h"

namespace berth::storage {
namespace {

using archive::EntryType;
using archive::TarEntry;
using linux_os::Resolve;

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

class Extraction final {
  public:
    explicit Extraction(const ExtractRequest& request)
        : request_(request),
          directory_(linux_os::open_in_root(request.root, request.directory, O_PATH | O_DIRECTORY,
                                            Resolve::in_root)) {}
    void add(TarEntry entry, archive::TarReader& content);
    /// Gives directories their modes, which may forbid to write in them, and their times, which
    /// later entries would have changed.
    void finish();

  private:
    BorrowedFd parent_of(const std::string& directory);
    std::string in_container(const std::string& path) const;
    std::string renamed(const std::string& path) const;
    Attributes attributes_for(const TarEntry& entry) const;
    void add_to(const Place& place, const TarEntry& entry, archive::TarReader& content);
    void add_directory(const Place& place, const TarEntry& entry);
    void add_file(const Place& place, const TarEntry& entry, archive::TarReader& content);
    void add_hard_link(const Place& place, const TarEntry& entry);
    void clear(const Place& place, const TarEntry& entry) const;
    template <typename Make>
    void make(const Place& place, const TarEntry& entry, Make make_it) const;

    const ExtractRequest& request_;
    UniqueFd directory_;
    linux_os::SpaceGuard space_{directory_};
    KnownIds ids_;
    UniqueFd parent_;
    std::optional<std::string> parent_path_;
    struct DirectoryEnd final {
        mode_t mode = 0;
        timespec modified{};
    };
    std::map<std::string, DirectoryEnd> directories_;  // by path below the directory
};

std::string Extraction::in_container(const std::string& path) const {
    return request_.directory + "/" + path;
}

std::string Extraction::renamed(const std::string& path) const {
    const std::string clean = clean_entry_path(path);
    if (!request_.rename) return clean;
    const Rename& rename = *request_.rename;
    const std::string to = clean_entry_path(rename.to);
    if (rename.from.empty()) return clean.empty() ? to : join_path(to, clean);
    if (!linux_os::is_below(clean, rename.from)) return clean;
    return to + clean.substr(rename.from.size());
}

// Only the last one is kept: archives are in the order of a walk.
BorrowedFd Extraction::parent_of(const std::string& directory) {
    if (parent_path_ == directory) return parent_;
    parent_path_.reset();
    parent_ = linux_os::make_directories_in_root(request_.root, in_container(directory), 0755);
    parent_path_ = directory;
    return parent_;
}

Attributes Extraction::attributes_for(const TarEntry& entry) const {
    TarEntry mapped = entry;
    if (request_.owner) {
        const Owner owner =
            request_.owner({static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid)});
        const Owner root = request_.owner({});
        mapped.uid = ids_.users.contains(owner.uid) ? owner.uid : root.uid;
        mapped.gid = ids_.groups.contains(owner.gid) ? owner.gid : root.gid;
    }
    if (!ids_.users.contains(mapped.uid)) mapped.uid = 0;
    if (!ids_.groups.contains(mapped.gid)) mapped.gid = 0;
    return attributes_of(mapped, ids_);
}

// Makes room for something new.
void Extraction::clear(const Place& place, const TarEntry& entry) const {
    const mode_t mode = status_of(place).st_mode;
    if (mode == 0) return;
    const bool new_directory = entry.type == EntryType::directory;
    if (request_.replacing == Replacing::same_kind && S_ISDIR(mode) != new_directory) {
        // The docker CLI shows these.
        if (new_directory)
            throw Error(ErrorKind::invalid,
                        "cannot overwrite non-directory \"{}\" with directory \"{}\"", place.path,
                        entry.path);
        throw Error(ErrorKind::invalid,
                    "cannot overwrite directory \"{}\" with non-directory \"{}\"", place.path,
                    entry.path);
    }
    remove_at(place);
}

// `make_it` says by errno EEXIST that something is in the way.
template <typename Make>
void Extraction::make(const Place& place, const TarEntry& entry, Make make_it) const {
    // A container may keep putting something there.
    constexpr int kAttempts = 16;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        if (make_it() >= 0) return;
        if (errno != EEXIST) break;
        clear(place, entry);
    }
    throw_errno("making {}", place.path);
}

void Extraction::add(TarEntry entry, archive::TarReader& content) {
    if (request_.stop.stop_requested())
        throw Error(ErrorKind::cancelled, "extracting {} was cancelled", entry.path);
    const bool device =
        entry.type == EntryType::char_device || entry.type == EntryType::block_device;
    entry.path = renamed(entry.path);
    if (device && request_.on_left_out) request_.on_left_out(entry.path);
    // The directory itself is there and stays as it is.
    if (entry.path.empty() || device) return;
    space_.take(stored_size(content));
    const SplitPath parts = split_path(entry.path);
    const std::string shown =
        linux_os::clean_path(request_.shown_root + "/" + in_container(entry.path));
    add_to({parent_of(parts.directory), parts.name, shown}, entry, content);
}

void Extraction::add_to(const Place& place, const TarEntry& entry, archive::TarReader& content) {
    const int parent = place.parent.get();
    switch (entry.type) {
        case EntryType::directory:
            return add_directory(place, entry);
        case EntryType::file:
            return add_file(place, entry, content);
        case EntryType::hard_link:
            return add_hard_link(place, entry);
        case EntryType::symlink:
            make(place, entry, [&] {
                return ::symlinkat(entry.link_target.c_str(), parent, place.name.c_str());
            });
            return set_attributes(place, attributes_for(entry));
        default:
            make(place, entry, [&] { return ::mkfifoat(parent, place.name.c_str(), 0600); });
            return set_attributes(place, attributes_for(entry));
    }
}

void Extraction::add_directory(const Place& place, const TarEntry& entry) {
    if (!S_ISDIR(status_of(place).st_mode))
        make(place, entry, [&] { return ::mkdirat(place.parent.get(), place.name.c_str(), 0700); });
    const UniqueFd fd{::openat(place.parent.get(), place.name.c_str(), kDirectory)};
    if (!fd) throw_errno("opening {}", place.path);
    Attributes attributes = attributes_for(entry);
    directories_[entry.path] = {attributes.mode, attributes.modified};
    attributes.mode |= S_IRWXU;
    set_attributes(fd, attributes, place.path);
}

void Extraction::add_file(const Place& place, const TarEntry& entry, archive::TarReader& content) {
    const auto open_new = [&](int more) {
        return ::openat(place.parent.get(), place.name.c_str(),
                        O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | more, 0600);
    };
    UniqueFd fd;
    try {
        make(place, entry, [&] {
            fd.reset(open_new(O_CREAT | O_EXCL));
            return fd.get();
        });
    } catch (const Error& error) {
        // A mount point, as /etc/hosts is one: nothing can take its place, so it gets the content.
        struct stat status {};
        fd.reset(error.errno_value() == EBUSY ? open_new(0) : -1);
        if (!fd || ::fstat(fd.get(), &status) < 0 || !S_ISREG(status.st_mode)) throw;
        if (::ftruncate(fd.get(), 0) < 0) throw_errno("emptying {}", place.path);
    }
    write_content(fd, entry, content);
    set_attributes(fd, attributes_for(entry), place.path);
}

void Extraction::add_hard_link(const Place& place, const TarEntry& entry) {
    const SplitPath target = split_path(renamed(entry.link_target));
    const UniqueFd there = linux_os::open_in_root(request_.root, in_container(target.directory),
                                                  O_PATH | O_DIRECTORY, Resolve::in_root);
    make(place, entry, [&] {
        return ::linkat(there.get(), target.name.c_str(), place.parent.get(), place.name.c_str(),
                        0);
    });
}

void Extraction::finish() {
    for (auto item = directories_.rbegin(); item != directories_.rend(); ++item) {
        const auto& [path, end] = *item;
        const UniqueFd fd = linux_os::try_open_in_root(request_.root, in_container(path),
                                                       kDirectory, Resolve::in_root);
        if (!fd) continue;  // gone meanwhile: the container's own business
        const timespec times[2] = {end.modified, end.modified};
        if (::futimens(fd.get(), times) < 0) throw_errno("{}: setting the time", path);
        if ((end.mode & S_IRWXU) != S_IRWXU && ::fchmod(fd.get(), end.mode) < 0)
            throw_errno("{}: setting the mode", path);
    }
}

}  // namespace

void extract_tar(const ExtractRequest& request, archive::Source& tar) {
    archive::TarReader reader(tar);
    Extraction extraction(request);
    while (const auto entry = reader.next()) extraction.add(*entry, reader);
    extraction.finish();
    // The client wants to send all of it.
    reader.drain_archive();
    archive::drain(tar);
}

}  // namespace berth::storage
