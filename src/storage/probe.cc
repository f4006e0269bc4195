// Finds the storage driver that works here, by mounting a tiny overlay with everything that images
// need: a whiteout, an opaque directory, copy-up, an extended attribute.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "linux/filesystem.h"
#include "linux/mapped_ids.h"
#include "linux/overlay_mount.h"
#include "linux/spawn.h"
#include "storage/driver.h"
#include "storage/inode.h"

namespace berth::storage {
namespace {

// A scratch directory that holds two layers and room for a third.
class Scratch final {
  public:
    explicit Scratch(const std::string& data) : path_(data + "/probe-" + random_hex_id()) {
        for (const char* name : {"/low/full", "/mid/full", "/upper", "/work", "/merged"})
            make_directories(path_ + name, 0755);
        replace_file(path_ + "/low/gone", "1", 0644, Durability::process);
        replace_file(path_ + "/low/full/old", "1", 0644, Durability::process);
        replace_file(path_ + "/mid/full/new", "1", 0644, Durability::process);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        try {
            remove_tree(path_);
        } catch (const Error&) {
            // A left-over probe directory harms nobody.
        }
    }
    void mark_layers() const {
        const UniqueFd mid = open_file(path_ + "/mid", O_RDONLY | O_DIRECTORY);
        make_whiteout({mid, "gone", "gone"});
        set_opaque(open_file(path_ + "/mid/full", O_RDONLY | O_DIRECTORY), "full");
    }
    std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }

  private:
    std::string path_;
};

void expect(bool condition, const char* what) {
    if (!condition) throw Error(ErrorKind::unsupported, "{}", what);
}

void check_mounted(BorrowedFd root) {
    const auto is_there = [root](const char* name) {
        return ::faccessat(root.get(), name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    };
    expect(!is_there("gone"), "a whiteout does not hide the file below");
    expect(!is_there("full/old"), "an opaque directory does not hide what is below");
    expect(is_there("full/new"), "a file of a lower layer does not show");
    const UniqueFd file{::openat(root.get(), "full/new", O_WRONLY | O_APPEND | O_CLOEXEC)};
    if (!file) throw_errno("copying a file up");
    write_all(file, "2");
    if (::fsetxattr(file.get(), "user.berth.probe", "y", 1, 0) < 0)
        throw_errno("setting an extended attribute");
    if (::fchown(file.get(), 0, 0) < 0) throw_errno("changing an owner");
    if (::unlinkat(root.get(), "full/new", 0) < 0) throw_errno("removing a file of a lower layer");
    expect(!is_there("full/new"), "a removed file comes back");
    if (::mkdirat(root.get(), "gone", 0755) < 0) throw_errno("making a directory");
}

void try_overlay(const std::string& data) {
    const Scratch scratch(data);
    scratch.mark_layers();
    const UniqueFd mount =
        linux_os::mount_overlay({.lowerdirs = {scratch.path("mid"), scratch.path("low")},
                                 .upperdir = scratch.path("upper"),
                                 .workdir = scratch.path("work")});
    const UniqueFd root{::openat(mount.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!root) throw_errno("opening the mounted overlay");
    check_mounted(root);
}

// What unpacking any image needs, whatever the driver: file systems of other machines (NFS) and
// without owners (vfat) fail here, and no later check would say why.
void try_unpacking(const std::string& data) {
    const Scratch scratch(data);
    const std::string file = scratch.path("low/gone");
    if (linux_os::MappedIds::users().contains(1) && ::lchown(file.c_str(), 1, 1) < 0)
        throw_errno("giving a file to another id");
    if (::chmod(file.c_str(), 0751) < 0) throw_errno("setting a mode");
    struct stat status {};
    if (::lstat(file.c_str(), &status) < 0) throw_errno("looking at a file");
    expect((status.st_mode & 07777) == 0751, "it does not keep modes");
    if (::symlink("gone", scratch.path("low/symlink").c_str()) < 0)
        throw_errno("making a symbolic link");
    if (::link(file.c_str(), scratch.path("low/link").c_str()) < 0)
        throw_errno("making a hard link");
}

std::string try_fuse_overlayfs(const std::string& data) {
    const std::string program = find_fuse_overlayfs();
    const Scratch scratch(data);
    scratch.mark_layers();
    linux_os::SpawnRequest request;
    request.program = program;
    request.arguments = {
        program, "-o",
        fmt::format("lowerdir={}:{},upperdir={},workdir={}", scratch.path("mid"),
                    scratch.path("low"), scratch.path("upper"), scratch.path("work")),
        scratch.path("merged")};
    request.environment = linux_os::current_environment();
    // It goes into the background once the mount is there, and ends when that is gone.
    const linux_os::ExitStatus status = linux_os::spawn(request).reap();
    if (status.code != 0)
        throw Error(ErrorKind::unsupported, "{} ended with exit code {}", program, status.code);
    const auto unmount = [&] { ::umount2(scratch.path("merged").c_str(), MNT_DETACH); };
    try {
        check_mounted(open_file(scratch.path("merged"), O_RDONLY | O_DIRECTORY));
    } catch (const Error&) {
        unmount();
        throw;
    }
    unmount();
    return program;
}

}  // namespace

std::string find_fuse_overlayfs() {
    std::string program = linux_os::find_program("fuse-overlayfs");
    if (program.empty())
        throw Error(ErrorKind::unsupported, "the program fuse-overlayfs is not installed");
    const UniqueFd device{::open("/dev/fuse", O_RDWR | O_CLOEXEC)};
    if (!device)
        throw Error(ErrorKind::unsupported, "/dev/fuse cannot be opened: {}", errno_text(errno));
    return program;
}

DriverChoice probe(const ProbeRequest& request) {
    make_directories(request.data_directory, 0700);
    DriverChoice choice;
    choice.backing_filesystem = linux_os::examine_filesystem(request.data_directory).name;
    const std::string unfit = failure_text([&] { try_unpacking(request.data_directory); });
    if (!unfit.empty())
        throw Error(
            ErrorKind::unsupported,
            "{} is on {}, where images cannot be unpacked ({}): give the engine a directory "
            "on a local disk, by --data-root or \"data-root\" in daemon.json",
            request.data_directory, choice.backing_filesystem, unfit);
    const auto wanted = [&](DriverKind kind) {
        return !request.requested || *request.requested == kind;
    };
    const auto take = [&](DriverKind kind, std::string reason) {
        choice.kind = kind;
        choice.reason = std::move(reason);
        return choice;
    };
    std::string reasons;
    if (wanted(DriverKind::overlay)) {
        const std::string failure = failure_text([&] { try_overlay(request.data_directory); });
        if (failure.empty())
            return take(DriverKind::overlay,
                        fmt::format("native overlay works on {}", choice.backing_filesystem));
        reasons = fmt::format("overlay on {}: {}", choice.backing_filesystem, failure);
    }
    if (wanted(DriverKind::fuse_overlayfs)) {
        const std::string failure =
            failure_text([&] { choice.fuse_program = try_fuse_overlayfs(request.data_directory); });
        if (failure.empty())
            return take(DriverKind::fuse_overlayfs, reasons.empty() ? "as requested" : reasons);
        reasons += (reasons.empty() ? "" : "; ") + ("fuse-overlayfs: " + failure);
    }
    if (!wanted(DriverKind::copy))
        throw Error(ErrorKind::unsupported, "storage driver {} does not work in {}: {}",
                    to_string(*request.requested), request.data_directory, reasons);
    return take(DriverKind::copy, reasons.empty() ? "as requested" : reasons);
}

}  // namespace berth::storage
