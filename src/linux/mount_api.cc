#include "linux/mount_api.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "linux/rooted_path.h"

namespace berth::linux_os {
namespace {

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
constexpr int kDetach = 2;  // MNT_DETACH

int open_tree(int directory, const char* path, Depth depth, unsigned flags) {
    flags |= OPEN_TREE_CLONE | O_CLOEXEC;
    if (depth == Depth::recursive) flags |= AT_RECURSIVE;
    return static_cast<int>(::syscall(SYS_open_tree, directory, path, flags));
}

/// The last line that the kernel left in the context: "e tmpfs: Bad value for 'size'".
std::string context_message(BorrowedFd context) {
    std::array<char, 512> text{};
    const ssize_t size = ::read(context.get(), text.data(), text.size());
    if (size <= 2) return "";
    std::string message(text.data() + 2, static_cast<std::size_t>(size - 2));
    while (!message.empty() && message.back() == '\n') message.pop_back();
    return message;
}

void configure(BorrowedFd context, unsigned command, const char* key, const char* value,
               const std::string& type) {
    if (::syscall(SYS_fsconfig, context.get(), command, key, value, 0) == 0) return;
    const int saved = errno;
    const std::string detail = context_message(context);
    const std::string what = key ? fmt::format("file system {}: option {}", type, key)
                                 : fmt::format("making file system {}", type);
    throw Error::from_errno(saved, detail.empty() ? what : what + ": " + detail);
}

}  // namespace

UniqueFd clone_mount(const std::string& path, Depth depth) {
    UniqueFd fd{open_tree(AT_FDCWD, path.c_str(), depth, 0)};
    if (!fd) throw_errno("cloning the mount at {}", path);
    return fd;
}

UniqueFd clone_mount(BorrowedFd at, Depth depth) {
    UniqueFd fd{open_tree(at.get(), "", depth, AT_EMPTY_PATH)};
    if (!fd) throw_errno("cloning a mount");
    return fd;
}

UniqueFd clone_mount_of(BorrowedFd process, const std::string& path) {
    UniqueFd mount;
    std::exception_ptr failure;
    std::thread([&] {
        try {
            // setns wants a root and a working directory that no other thread shares.
            if (::unshare(CLONE_FS) < 0 || ::setns(process.get(), CLONE_NEWNS) < 0)
                throw_errno("entering the mount namespace of a process");
            const UniqueFd root = open_file("/", O_PATH | O_DIRECTORY);
            const UniqueFd place = open_in_root(root, path, O_PATH, Resolve::in_root);
            mount = clone_mount(place, Depth::single);
        } catch (...) {
            failure = std::current_exception();
        }
    }).join();
    if (failure) std::rethrow_exception(failure);
    return mount;
}

UniqueFd make_filesystem(const std::string& type, const std::string& source,
                         const std::vector<FsOption>& options, std::uint64_t attributes) {
    UniqueFd context{static_cast<int>(::syscall(SYS_fsopen, type.c_str(), FSOPEN_CLOEXEC))};
    if (!context) throw_errno("file system {}", type);
    if (!source.empty()) configure(context, FSCONFIG_SET_STRING, "source", source.c_str(), type);
    for (const auto& [key, value] : options)
        configure(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key.c_str(),
                  value ? value->c_str() : nullptr, type);
    configure(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, type);
    UniqueFd mount{static_cast<int>(
        ::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)))};
    if (!mount) throw_errno("mounting file system {}", type);
    return mount;
}

void attach_mount(BorrowedFd mount, BorrowedFd target) {
    if (::syscall(SYS_move_mount, mount.get(), "", target.get(), "",
                  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        throw_errno("attaching a mount");
}

void change_mount(BorrowedFd mount, const MountChange& change, Depth depth) {
    mount_attr attributes{};
    attributes.attr_set = change.set;
    attributes.attr_clr = change.clear;
    attributes.propagation = change.propagation;
    const unsigned flags = AT_EMPTY_PATH | (depth == Depth::recursive ? AT_RECURSIVE : 0U);
    if (::syscall(SYS_mount_setattr, mount.get(), "", flags, &attributes, sizeof attributes) < 0)
        throw_errno("changing the attributes of a mount");
}

void pivot_to(BorrowedFd new_root) {
    // pivot_root(".", ".") puts the old root on top of the new one, from where it is detached:
    // no directory for the old root is needed inside the container.
    if (::fchdir(new_root.get()) < 0) throw_errno("entering the new root");
    if (::syscall(SYS_pivot_root, ".", ".") < 0) throw_errno("pivot_root");
    if (umount2(".", kDetach) < 0) throw_errno("detaching the old root");
    if (::chdir("/") < 0) throw_errno("entering /");
}

std::uint64_t filesystem_magic(BorrowedFd fd) {
    struct statfs about {};
    if (::fstatfs(fd.get(), &about) < 0) throw_errno("asking for the file system type");
    return static_cast<std::uint64_t>(about.f_type);
}

bool is_mount_root(BorrowedFd fd) {
    struct statx about {};
    if (::statx(fd.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &about) < 0)
        throw_errno("asking for the mount root");
    return (about.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace berth::linux_os
