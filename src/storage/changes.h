// What a container changed in its root file system, compared with the layers of its image: an
// overlay's upper directory tells it (whiteouts, opaque directories), a copy is compared file by
// file. Directories above a change count as modified; times of directories do not count. Any
// thread; follows no links. Throws Error, {cancelled} on stop.
#pragma once

#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/stream.h"
#include "storage/driver.h"

namespace berth::storage {

enum class ChangeKind { modified = 0, added = 1, deleted = 2 };  // as the API numbers them

struct Change final {
    std::string path;  // relative to the root: "etc/passwd"
    ChangeKind kind = ChangeKind::modified;
    auto operator<=>(const Change&) const = default;
};

/// Sorted by path. `layers` are those of the image, top first (LayerStore::directories).
/// `mount_points` (relative) are left out where the container has nothing but the empty file or
/// directory that was made for a mount.
std::vector<Change> find_changes(const RootfsMount& rootfs, const std::vector<std::string>& layers,
                                 const std::set<std::string>& mount_points,
                                 std::stop_token stop = {});

/// The changes as the tar of a layer, deletions as whiteouts (".wh.NAME").
void write_changes(const RootfsMount& rootfs, const std::vector<Change>& changes, archive::Sink& to,
                   std::stop_token stop = {});

}  // namespace berth::storage
