// Writes a tar below a directory of a container's root file system, as `docker cp` does: what is in
// the way is replaced, directories are merged. The container may run and swap files meanwhile:
// parents are opened below the root for each entry (RESOLVE_IN_ROOT), and the last component is
// never followed (CVE-2018-15664). Devices are left out, as in every user namespace. One thread.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "archive/stream.h"
#include "base/unique_fd.h"

namespace berth::storage {

enum class Replacing {
    anything,
    same_kind,  // a directory by a directory only, anything else by what is no directory
};

struct Owner final {
    uid_t uid = 0;
    gid_t gid = 0;
};

struct ExtractRequest final {
    BorrowedFd root;        // of the container
    std::string directory;  // in it, without links; exists
    Replacing replacing = Replacing::anything;
    std::optional<Owner> owner;  // of everything; none: as the archive says
    std::stop_token stop;
};

/// `tar` may be compressed. Owners that the user namespace has no ids for become root. Throws
/// Error{invalid} for a bad archive and for names that lead out of the directory.
void extract_tar(const ExtractRequest& request, archive::Source& tar);

}  // namespace berth::storage
