// Writes a tar below a directory of a container's root file system (or, for our own client, of this
// machine), as `docker cp` does: what is in the way is replaced, directories are merged. The
// container may run and swap files meanwhile: parents are opened below the root for each entry
// (RESOLVE_IN_ROOT), and the last component is never followed (CVE-2018-15664). Devices are left
// out, as in every user namespace. One thread.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "archive/stream.h"
#include "base/unique_fd.h"
#include "storage/inode.h"

namespace berth::storage {

enum class Replacing {
    anything,
    same_kind,  // a directory by a directory only, anything else by what is no directory
};

/// Entries whose first component is `from` get `to` in its place; without `from`, all go below it.
struct Rename final {
    std::string from;
    std::string to;
};

struct ExtractRequest final {
    BorrowedFd root;              // of the container
    std::string directory;        // in it, without links; exists
    std::string shown_root = "";  // what stands before paths in messages
    std::optional<Rename> rename = std::nullopt;
    Replacing replacing = Replacing::anything;
    OwnerMap owner = {};  // from the archive's to the disk's
    std::function<void(const std::string& path)> on_left_out = {};  // told of each device
    std::stop_token stop;
};

/// Owners that the user namespace has no ids for are taken as root. Throws
/// Error{invalid} for a bad archive and for names that lead out of the directory.
void extract_tar(const ExtractRequest& request, archive::Source& tar);

}  // namespace berth::storage
