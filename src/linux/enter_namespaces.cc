#include "linux/enter_namespaces.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"

namespace berth::linux_os {

UniqueFd take_inherited(int fd) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        throw_errno("taking descriptor {} that berthd passes", fd);
    return UniqueFd{fd};
}

void enter_user_and_mount_namespaces(BorrowedFd holder) {
    if (::setns(holder.get(), CLONE_NEWUSER) < 0) throw_errno("entering the user namespace");
    if (::setgroups(0, nullptr) < 0) throw_errno("dropping supplementary groups");
    if (::setresgid(0, 0, 0) < 0) throw_errno("becoming group 0 of the user namespace");
    if (::setresuid(0, 0, 0) < 0) throw_errno("becoming user 0 of the user namespace");
    if (::setns(holder.get(), CLONE_NEWNS) < 0) throw_errno("entering the mount namespace");
    // Gaining capabilities cleared it, and /proc/self would belong to nobody here.
    if (::prctl(PR_SET_DUMPABLE, 1) < 0) throw_errno("making the process dumpable");
    if (::chdir("/") < 0) throw_errno("changing directory to /");
}

void enter_network_namespace(BorrowedFd target) {
    if (::setns(target.get(), CLONE_NEWNET) < 0) throw_errno("entering a network namespace");
}

void unshare_mounts() {
    if (::unshare(CLONE_NEWNS) < 0) throw_errno("unsharing the mount namespace");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
        throw_errno("making the mounts slaves of the host's");
}

}  // namespace berth::linux_os
