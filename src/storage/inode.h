// What a file carries besides its content (owner, mode, time, extended attributes), and overlay's
// marks: whiteouts and opaque directories. Functions name a file by its directory's descriptor and
// one name, so no symbolic link is ever followed; `path` is for messages only. Throws Error.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace berth::storage {

using Xattrs = std::map<std::string, std::string>;

struct Attributes final {
    mode_t mode = 0755;  // permission, suid, sgid and sticky bits
    uid_t uid = 0;
    gid_t gid = 0;
    timespec modified{};
    Xattrs xattrs;
};

struct Owner final {
    uid_t uid = 0;
    gid_t gid = 0;
};
/// Who an owner is on the other side, of an archive or of the disk; empty: the same.
using OwnerMap = std::function<Owner(Owner)>;

/// A file in a directory that is held open.
struct Place final {
    BorrowedFd parent;
    std::string name;
    std::string path;  // for messages
};

/// Without following a link; nothing there gives st_mode 0.
struct stat status_of(const Place& place);
/// The text of a symbolic link.
std::string link_text(const Place& place);
Attributes attributes_of(const Place& place, const struct stat& status);
/// In the order that keeps them: owner, extended attributes, mode (a write or a chown strips suid
/// in a user namespace), time. Owner 0:0 is what a new file has. Extended attributes that a user
/// namespace refuses or that are overlay's own are left out with a debug note.
void set_attributes(BorrowedFd open_file, const Attributes& attributes, const std::string& path);
/// The same for a symbolic link (which has no mode), fifo or socket.
void set_attributes(const Place& place, const Attributes& attributes);
/// True for a name that overlay uses for itself; an archive must not bring such a one.
bool is_overlay_xattr(std::string_view name);

bool is_whiteout(const struct stat& status);
/// A device 0:0; on a kernel that refuses it (before 5.8) an empty file `.wh.NAME`, which
/// fuse-overlayfs and the copy driver understand.
void make_whiteout(const Place& place);
bool is_opaque(BorrowedFd directory);
/// user.overlay.opaque; where the file system has no such attributes, a file `.wh..wh..opq`.
void set_opaque(BorrowedFd directory, const std::string& path);

/// rm -rf of one name; absent is fine.
void remove_at(const Place& place);
/// A directory's entries without "." and "..".
std::vector<std::string> names_in(BorrowedFd directory, const std::string& path);

}  // namespace berth::storage
