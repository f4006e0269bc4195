// How a container's root file system is put together from layers: overlay of the kernel inside the
// user namespace, fuse-overlayfs, or a plain copy. probe() tries them for real; prepare_rootfs()
// makes a container's own directories and says what the shim has to mount. No mounts stay.
// Synchronous, any thread, as root of the user namespace. Throws Error.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "storage/layer_store.h"

namespace berth::storage {

enum class DriverKind { overlay, fuse_overlayfs, copy };

/// "overlay2", "fuse-overlayfs", "vfs": as Docker names them.
std::string_view to_string(DriverKind kind);
/// Those names, and also "overlay", "overlayfs" and "copy". Throws Error{invalid} for another.
DriverKind driver_from(std::string_view name);

struct ProbeRequest final {
    std::string data_directory;           // the scratch directory is made below it
    std::optional<DriverKind> requested;  // --storage-driver: this one or an error
};

struct DriverChoice final {
    DriverKind kind = DriverKind::copy;
    std::string reason;              // one line for the log and `docker info`
    std::string backing_filesystem;  // "ext4", "xfs", "nfs", …
    std::string fuse_program;        // full path, for fuse_overlayfs
};

/// Tries overlay, then fuse-overlayfs, then takes copy. Throws Error{unsupported} with the reason
/// when a requested driver does not work here.
DriverChoice probe(const ProbeRequest& request);
/// The program fuse-overlayfs, when /dev/fuse can be opened. Throws Error{unsupported} with the
/// reason otherwise.
std::string find_fuse_overlayfs();

/// What a container's root file system is made of; plain values for the shim's configuration.
struct RootfsMount final {
    DriverKind kind = DriverKind::copy;
    std::vector<std::string> lowerdirs;  // top first; overlay and fuse_overlayfs
    std::string upperdir;
    std::string workdir;
    std::string path;          // copy: the directory itself, ready to be bound
    std::string fuse_program;  // fuse_overlayfs
};

/// Makes the container's writable directories below `container_directory` (`upper` and `work`, or
/// `rootfs`), or finds those of an earlier call with their content. Without a top layer the file
/// system is empty. A copy that is half-made after a crash is made again.
RootfsMount prepare_rootfs(const DriverChoice& driver, const LayerStore& layers,
                           const std::string& container_directory, const std::optional<Digest>& top,
                           std::stop_token stop = {});
/// Removes what prepare_rootfs() made; an absent one is fine.
void remove_rootfs(const std::string& container_directory);
/// Bytes of regular files in what prepare_rootfs() made writable (SizeRw; for copy the whole tree);
/// nothing is made for it.
std::int64_t writable_size(DriverKind driver, const std::string& container_directory);

}  // namespace berth::storage
