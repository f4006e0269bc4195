#include "engine/containers/shim_mounts.h"

#include "base/file.h"

namespace berth::engine {

namespace {

constexpr const char* kShm = "/dev/shm";

/// What stands in the layers is what a container without a user namespace of its own sees. For one
/// that has it, fuse-overlayfs shows each owner as the container's id is mapped: nothing is copied,
/// and the writable layer is like any other.
std::string fuse_mapping(const std::vector<oci::IdMapping>& map) {
    std::string text;
    for (const oci::IdMapping& range : map)
        text += fmt::format("{}{}:{}:{}", text.empty() ? "" : ":", range.container_id,
                            range.host_id, range.size);
    return text;
}

shim::RootfsKind kind_of(storage::DriverKind kind) {
    switch (kind) {
        case storage::DriverKind::overlay:
            return shim::RootfsKind::overlay;
        case storage::DriverKind::fuse_overlayfs:
            return shim::RootfsKind::fuse_overlayfs;
        case storage::DriverKind::copy:
            break;
    }
    return shim::RootfsKind::path;
}

/// A read-only stack, or the driver's copy of it.
storage::RootfsMount image_stack(const std::optional<Digest>& top, const Storage& storage,
                                 const std::string& directory) {
    if (storage.driver.kind == storage::DriverKind::copy)
        return storage::prepare_rootfs(storage.driver, storage.layers, directory, top);
    storage::RootfsMount stack;
    stack.kind = storage.driver.kind;
    stack.fuse_program = storage.driver.fuse_program;
    if (top) stack.lowerdirs = storage.layers.directories(*top);
    // Overlay without an upper directory needs two.
    make_directories(directory + "/empty", 0755);
    stack.lowerdirs.push_back(directory + "/empty");
    return stack;
}

}  // namespace

shim::RootfsMount shim_rootfs(const storage::RootfsMount& rootfs, const model::IdMaps& maps) {
    shim::RootfsMount mount;
    mount.kind = kind_of(rootfs.kind);
    mount.lowerdirs = rootfs.lowerdirs;
    mount.upperdir = rootfs.upperdir;
    mount.workdir = rootfs.workdir;
    mount.path = rootfs.path;
    mount.program = rootfs.fuse_program;
    if (maps.empty()) return mount;
    mount.kind = shim::RootfsKind::fuse_overlayfs;
    mount.program = storage::find_fuse_overlayfs();
    mount.uid_mapping = fuse_mapping(maps.uids);
    mount.gid_mapping = fuse_mapping(maps.gids);
    return mount;
}

shim::RootfsMount image_rootfs(const model::MountPoint& point, const Storage& storage,
                               const std::string& directory, const model::IdMaps& maps) {
    std::optional<Digest> top;
    if (!point.top_layer.empty()) top = Digest::parse(point.top_layer);
    const std::string own = directory + "/image-" + (top ? top->short_hex() : "empty");
    return shim_rootfs(image_stack(top, storage, own), maps);
}

ShimMounts shim_mounts(const model::ContainerRecord& record, const Storage& storage,
                       const MountPlaces& places, const model::IdMaps& maps) {
    ShimMounts result;
    const auto add = [&](shim::RootfsMount mount) {
        const std::string target =
            fmt::format("{}/mount-{}", places.run_directory, result.mounts.size());
        result.mounts.push_back({std::move(mount), target});
        return target;
    };
    if (places.ipc_process != 0) {
        shim::RootfsMount shm;
        shm.path = kShm;
        shm.process = places.ipc_process;
        result.sources.emplace(kShm, add(std::move(shm)));
    }
    for (const model::MountPoint& point : record.mounts) {
        std::string source = point.device.empty() ? point.source : point.device;
        if (point.type == model::MountType::image)
            source = add(image_rootfs(point, storage, places.directory, maps));
        if (!point.subpath.empty()) {
            shim::RootfsMount place;
            place.path = source;
            place.subpath = point.subpath;
            source = add(std::move(place));
        }
        if (source != point.source) result.sources.emplace(point.destination, source);
    }
    return result;
}

}  // namespace berth::engine
