#include "engine/volume/tmpfs.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "linux/mount_api.h"
#include "linux/overlay_mount.h"
#include "linux/pid_fd.h"

namespace berth::engine {

namespace {

/// Mounts below a shared one leave the shims' namespaces when they leave ours: a tmpfs whose
/// last container ended takes no memory any more.
void share_mounts_below(const std::string& root) {
    const UniqueFd directory = open_file(root, O_PATH | O_DIRECTORY);
    if (linux_os::is_mount_root(directory)) return;
    const UniqueFd mount = linux_os::clone_mount(directory, linux_os::Depth::recursive);
    linux_os::attach_mount(mount, root);
    linux_os::change_mount(mount, {0, 0, MS_SHARED}, linux_os::Depth::recursive);
}

UniqueFd take_from(const VolumeUse& use) {
    try {
        return linux_os::clone_mount_of(linux_os::PidFd::open(use.pid).fd(), use.destination);
    } catch (const Error& error) {
        log::warn("volume at {} of process {}: {}", use.destination, use.pid, error.message());
        return {};
    }
}

}  // namespace

UniqueFd make_tmpfs(const std::vector<std::string>& words) {
    std::vector<linux_os::FsOption> options;
    std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    for (const std::string& word : words) {
        const std::size_t equals = word.find('=');
        if (equals != std::string::npos)
            options.emplace_back(word.substr(0, equals), word.substr(equals + 1));
        else if (word == "noexec")
            attributes |= MOUNT_ATTR_NOEXEC;
        else if (word == "ro")
            attributes |= MOUNT_ATTR_RDONLY;
        else if (word == "noatime")
            attributes |= MOUNT_ATTR_NOATIME;
    }
    return linux_os::make_filesystem("tmpfs", "tmpfs", options, attributes);
}

void mount_tmpfs(const std::string& root, const std::string& target,
                 const std::vector<std::string>& options, const std::optional<VolumeUse>& use) {
    if (linux_os::is_mount_root(open_file(target, O_PATH | O_DIRECTORY))) return;
    share_mounts_below(root);
    UniqueFd mount = use ? take_from(*use) : UniqueFd();
    if (!mount) mount = make_tmpfs(options);
    linux_os::attach_mount(mount, target);
}

void unmount_tmpfs(const std::string& target) {
    if (::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL &&
        errno != ENOENT)
        log::warn("unmounting {}: {}", target, errno_text(errno));
}

}  // namespace berth::engine
