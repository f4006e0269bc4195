#include "shim/rootfs.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/file.h"
#include "linux/mount_api.h"
#include "linux/overlay_mount.h"
#include "linux/pid_fd.h"
#include "linux/rooted_path.h"
#include "linux/spawn.h"
#include "shim/runtime_call.h"

namespace berth::shim {

void enter_private_mounts() {
    if (::unshare(CLONE_NEWNS) < 0) throw_errno("making a mount namespace");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
        throw_errno("setting the propagation of mounts");
}

void Rootfs::mount(std::function<void(std::optional<Error>)> done) {
    try {
        if (mount_.subpath.empty()) make_directories(target_, 0711);
        switch (mount_.kind) {
            case RootfsKind::overlay:
                mount_overlay();
                break;
            case RootfsKind::path:
                mount_.subpath.empty() ? mount_path() : mount_place();
                break;
            case RootfsKind::fuse_overlayfs:
                return mount_fuse(std::move(done));
        }
    } catch (Error& error) {
        return done(error.while_("mounting {}", what_));
    }
    mounted_ = true;
    done(std::nullopt);
}

void Rootfs::mount_overlay() {
    const UniqueFd mount =
        linux_os::mount_overlay({mount_.lowerdirs, mount_.upperdir, mount_.workdir});
    linux_os::attach_mount(mount, target_);
}

void Rootfs::mount_path() {
    if (mount_.process != 0) {
        const linux_os::PidFd process = linux_os::PidFd::open(mount_.process);
        linux_os::attach_mount(linux_os::clone_mount_of(process.fd(), mount_.path), target_);
        return;
    }
    if (::mount(mount_.path.c_str(), target_.c_str(), nullptr, MS_BIND | MS_REC, nullptr) < 0)
        throw_errno("binding {} to {}", mount_.path, target_);
}

// A container may change what is in a volume at any time (CVE-2017-1002101 and CVE-2021-25741 were
// links in one): what was found is mounted, and no path is looked up a second time.
void Rootfs::mount_place() {
    const UniqueFd root = open_file(mount_.path, O_PATH | O_DIRECTORY);
    const UniqueFd place =
        linux_os::open_in_root(root, mount_.subpath, O_PATH, linux_os::Resolve::beneath);
    struct stat about {};
    if (::fstat(place.get(), &about) < 0) throw_errno("{}", mount_.subpath);
    if (S_ISDIR(about.st_mode))
        make_directories(target_, 0711);
    else
        open_file(target_, O_WRONLY | O_CREAT, 0600);
    linux_os::attach_mount(linux_os::clone_mount(place, linux_os::Depth::recursive), target_);
}

void Rootfs::mount_fuse(std::function<void(std::optional<Error>)> done) {
    const std::string options =
        linux_os::fuse_overlay_options({mount_.lowerdirs, mount_.upperdir, mount_.workdir,
                                        mount_.uid_mapping, mount_.gid_mapping});
    auto messages = std::make_shared<UniqueFd>(::memfd_create("fuse-stderr", MFD_CLOEXEC));
    linux_os::SpawnRequest request;
    request.program = mount_.program;
    request.arguments = {mount_.program, "-o", options, target_};
    request.environment = linux_os::current_environment();
    if (*messages) request.fds.emplace_back(messages->borrow(), STDERR_FILENO);
    const linux_os::PidFd child = linux_os::spawn(request);
    reaper_.expect(child.pid(), [this, messages, done](linux_os::ExitStatus status) {
        if (status.code == 0) {
            mounted_ = true;
            return done(std::nullopt);
        }
        std::string text;
        if (*messages && ::lseek(messages->get(), 0, SEEK_SET) == 0)
            text = last_line(read_all(*messages, 64U << 10));
        done(Error(ErrorKind::internal, "mounting {}: {} ended with status {}: {}", what_,
                   mount_.program, status.code, text));
    });
}

void Rootfs::unmount() {
    if (!mounted_) return;
    mounted_ = false;
    if (::umount2(target_.c_str(), UMOUNT_NOFOLLOW) < 0 && errno == EBUSY)
        ::umount2(target_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

}  // namespace berth::shim
