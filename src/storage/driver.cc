#include "storage/driver.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/copy_tree.h"
#include "storage/inode.h"

namespace berth::storage {
namespace {

constexpr const char* kUpper = "/upper";
constexpr const char* kCopy = "/rootfs";

Attributes root_attributes(const std::string& lower) {
    const UniqueFd fd = open_file(lower, O_RDONLY | O_DIRECTORY);
    const Place place{fd, ".", lower};
    return attributes_of(place, status_of(place));
}

RootfsMount prepare_overlay(const DriverChoice& driver, std::vector<std::string> lowerdirs,
                            const std::string& directory) {
    RootfsMount rootfs{.kind = driver.kind,
                       .lowerdirs = std::move(lowerdirs),
                       .upperdir = directory + kUpper,
                       .workdir = directory + "/work",
                       .path = "",
                       .fuse_program = driver.fuse_program};
    if (rootfs.lowerdirs.empty()) {  // an image without layers
        make_directories(directory + "/empty", 0755);
        rootfs.lowerdirs.push_back(directory + "/empty");
    }
    make_directories(rootfs.workdir, 0700);
    if (exists(rootfs.upperdir)) return rootfs;
    // The root of the mount shows the upper directory's own attributes.
    make_directories(rootfs.upperdir, 0700);
    const UniqueFd upper = open_file(rootfs.upperdir, O_RDONLY | O_DIRECTORY);
    set_attributes(upper, root_attributes(rootfs.lowerdirs.front()), rootfs.upperdir);
    return rootfs;
}

RootfsMount prepare_copy(const DriverChoice& driver, const std::vector<std::string>& lowerdirs,
                         const std::string& directory, const std::stop_token& stop) {
    RootfsMount rootfs;
    rootfs.kind = driver.kind;
    rootfs.path = directory + kCopy;
    if (exists(rootfs.path)) return rootfs;
    const std::string unfinished = rootfs.path + ".tmp";
    remove_tree(unfinished);
    make_directories(unfinished, 0755);
    const UniqueFd target = open_file(unfinished, O_RDONLY | O_DIRECTORY);
    for (auto layer = lowerdirs.rbegin(); layer != lowerdirs.rend(); ++layer) {
        const UniqueFd source = open_file(*layer, O_RDONLY | O_DIRECTORY);
        copy_tree(source, target, {.whiteouts = Whiteouts::applied, .stop = stop});
    }
    if (::rename(unfinished.c_str(), rootfs.path.c_str()) < 0)
        throw_errno("putting {} in place", rootfs.path);
    return rootfs;
}

}  // namespace

std::string_view to_string(DriverKind kind) {
    switch (kind) {
        case DriverKind::overlay:
            return "overlay2";
        case DriverKind::fuse_overlayfs:
            return "fuse-overlayfs";
        case DriverKind::copy:
            return "vfs";
    }
    return "vfs";
}

DriverKind driver_from(std::string_view name) {
    if (name == "overlay2" || name == "overlay" || name == "overlayfs") return DriverKind::overlay;
    if (name == "fuse-overlayfs") return DriverKind::fuse_overlayfs;
    if (name == "vfs" || name == "copy") return DriverKind::copy;
    throw Error(ErrorKind::invalid,
                "unknown storage driver {}: this engine has overlay2, fuse-overlayfs and vfs",
                name);
}

RootfsMount prepare_rootfs(const DriverChoice& driver, const LayerStore& layers,
                           const std::string& container_directory, const std::optional<Digest>& top,
                           std::stop_token stop) {
    std::vector<std::string> lowerdirs;
    if (top) lowerdirs = layers.directories(*top);
    make_directories(container_directory, 0700);
    if (driver.kind == DriverKind::copy)
        return prepare_copy(driver, lowerdirs, container_directory, stop);
    return prepare_overlay(driver, std::move(lowerdirs), container_directory);
}

void remove_rootfs(const std::string& container_directory) {
    for (const char* name : {"/upper", "/work", "/empty", "/rootfs", "/rootfs.tmp"})
        remove_tree(container_directory + name);
}

std::int64_t writable_size(DriverKind driver, const std::string& container_directory) {
    const std::string path = container_directory + (driver == DriverKind::copy ? kCopy : kUpper);
    const UniqueFd tree(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!tree && errno != ENOENT) throw_errno("opening {}", path);
    return tree ? tree_size(tree) : 0;
}

}  // namespace berth::storage
