// Copies a directory's content with owners, modes, extended attributes, hard links, times and
// holes; reflinks where the file system can. Never follows a symbolic link. Any thread. Throws
// Error naming the path.
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "base/unique_fd.h"
#include "oci/runtime_spec.h"

namespace berth::storage {

enum class Whiteouts {
    copied,   // devices 0:0 and opaque marks are copied as they are
    applied,  // the source is an overlay layer: they delete from the target instead
};

struct CopyOptions final {
    Whiteouts whiteouts = Whiteouts::copied;
    std::stop_token stop;
    /// What the owners become; empty: they stay.
    std::vector<oci::IdMapping> uids, gids;
};

/// Copies everything below `source`, and the attributes of `source` itself, into the directory
/// `target`. A directory that is there already is merged; anything else is replaced.
void copy_tree(BorrowedFd source, BorrowedFd target, const CopyOptions& options = {});

/// Bytes of the regular files below `directory`, hard links counted once.
std::int64_t tree_size(BorrowedFd directory);

}  // namespace berth::storage
