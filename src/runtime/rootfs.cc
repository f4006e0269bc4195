#include "runtime/rootfs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "linux/rooted_path.h"

namespace berth::runtime {
namespace {

using linux_os::Depth;
using linux_os::Resolve;

constexpr std::uint64_t kSlaveFlag = 1U << 19;  // MS_SLAVE
constexpr int kPath = O_PATH | O_CLOEXEC;
constexpr std::uint64_t kHarmless = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

struct stat status_of(BorrowedFd fd) {
    struct stat about {};
    if (::fstat(fd.get(), &about) < 0) throw_errno("reading the status of a file");
    return about;
}

std::string parent_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// The kernel's file systems must lie where they seem to lie (CVE-2019-19921, CVE-2023-27561).
bool must_not_be_link(const std::string& target) {
    return target == "/proc" || target == "/sys" || target == "/dev";
}

/// The commonest slip with binds, in the words that people search for.
Error different_kinds() {
    return Error::with_text(
        ErrorKind::invalid,
        "not a directory: Are you trying to mount a directory onto a file (or vice-versa)? Check "
        "if the specified host path exists and is the expected type");
}

bool is_directory(BorrowedFd file) { return S_ISDIR(status_of(file).st_mode); }

UniqueFd open_checked_null() {
    // CVE-2025-31133: the host's node, checked by descriptor, not the image's.
    UniqueFd null{::open("/dev/null", kPath | O_NOFOLLOW)};
    if (!null) throw_errno("opening /dev/null");
    const struct stat about = status_of(null);
    if (!S_ISCHR(about.st_mode) || about.st_rdev != makedev(1, 3))
        throw Error(ErrorKind::invalid, "/dev/null of the host is not the null device");
    return null;
}

UniqueFd make_empty_directory() {
    return linux_os::make_filesystem("tmpfs", "tmpfs",
                                     {{"mode", "0555"}, {"nr_blocks", "1"}, {"nr_inodes", "1"}},
                                     kHarmless | MOUNT_ATTR_RDONLY);
}

/// A user namespace may not mount these afresh when it does not own the namespace behind them
/// (host network, pid or IPC); the host's are lent then, as other rootless engines do.
const char* host_path_of(const std::string& type) {
    if (type == "sysfs") return "/sys";
    if (type == "mqueue") return "/dev/mqueue";
    if (type == "proc") return "/proc";
    return nullptr;
}

/// The host's /proc lists a process once for each pid namespace that it is in below that of /proc.
bool is_in_pid_namespace_of_host_proc() {
    const UniqueFd file{::open("/proc/self/status", O_RDONLY | O_CLOEXEC)};
    if (!file) return false;
    const std::string text = read_all(file);
    const auto start = text.find("\nNSpid:\t");
    if (start == std::string::npos) return false;
    const std::string_view line = std::string_view(text).substr(start + 8);
    return line.substr(0, line.find('\n')).find('\t') == std::string_view::npos;
}

UniqueFd clone_source(const MountStep& step) {
    try {
        return linux_os::clone_mount(step.source, step.depth);
    } catch (const Error& error) {
        if (error.errno_value() != EINVAL || step.depth == Depth::recursive) throw;
        throw Error(ErrorKind::denied,
                    "the host has mounts below {}, which a plain user cannot leave out: bind it "
                    "with them",
                    step.source);
    }
}

UniqueFd make_kernel_filesystem(const MountStep& step, const Plan& plan) {
    try {
        return linux_os::make_filesystem(step.type, step.source, step.options, step.own.set);
    } catch (const Error& error) {
        const char* host = host_path_of(step.type);
        // A joined pid namespace is as good as a new one: the host's processes stay hidden.
        const bool own_proc = step.type == "proc" &&
                              (plan.creates(CLONE_NEWPID) || !is_in_pid_namespace_of_host_proc());
        if (error.errno_value() != EPERM || !host || own_proc) throw;
        UniqueFd lent = linux_os::clone_mount(host, Depth::recursive);
        linux_os::change_mount(lent, {step.own.set, 0, 0}, Depth::recursive);
        return lent;
    }
}

/// A cgroup namespace shows what is below its root. Without a cgroup of the container's own that
/// would be the engine's: an empty directory then. The host's tree (no namespace) is only ever
/// shown read-only (CVE-2023-25809).
UniqueFd make_cgroup_mount(const MountStep& step, const Plan& plan) {
    const bool creates = plan.creates(CLONE_NEWCGROUP);
    if (creates && !plan.own_cgroup) return make_empty_directory();
    try {
        if (creates || plan.joins_type("cgroup"))
            return linux_os::make_filesystem("cgroup2", "cgroup", {}, step.own.set);
        UniqueFd tree = linux_os::clone_mount("/sys/fs/cgroup", Depth::recursive);
        linux_os::change_mount(tree, {step.own.set | MOUNT_ATTR_RDONLY, 0, 0}, Depth::recursive);
        return tree;
    } catch (const Error&) {
        return make_empty_directory();  // not allowed here
    }
}

void change_after_attach(BorrowedFd mount, const MountStep& step) {
    if (step.recursive.set || step.recursive.clear)
        linux_os::change_mount(mount, step.recursive, Depth::recursive);
    if (step.own.propagation)
        linux_os::change_mount(mount, {0, 0, step.own.propagation}, step.propagation_depth);
}

std::string sysctl_file(std::string name) {
    // net.ipv4.conf.eth0/1.forwarding: dots and slashes change roles, as in sysctl(8).
    if (name.find('/') == std::string::npos) std::replace(name.begin(), name.end(), '.', '/');
    return "sys/" + name;
}

UniqueFd open_sysctl(BorrowedFd proc, const std::string& name) {
    open_how how{};
    how.flags = O_WRONLY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
    UniqueFd file{static_cast<int>(
        ::syscall(SYS_openat2, proc.get(), sysctl_file(name).c_str(), &how, sizeof how))};
    if (!file) throw_errno("sysctl {}", name);
    return file;
}

}  // namespace

Rootfs Rootfs::enter(const std::string& path, const Plan& plan) {
    const UniqueFd host_root = open_file("/", O_PATH | O_DIRECTORY);
    linux_os::change_mount(host_root, {0, 0, kSlaveFlag}, Depth::recursive);
    UniqueFd directory{::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!directory) throw_errno("root file system {}", path);
    // A mount that came into a new user namespace is locked and cannot be pivoted to.
    if (linux_os::is_mount_root(directory) && !plan.creates(CLONE_NEWUSER))
        return Rootfs(std::move(directory));
    UniqueFd own = linux_os::clone_mount(directory, Depth::recursive);
    linux_os::attach_mount(own, directory);
    return Rootfs(std::move(own));
}

UniqueFd Rootfs::open_target(const MountStep& step, BorrowedFd source) const {
    const bool directory = !source || is_directory(source);
    if (!directory) return linux_os::make_file_in_root(root_, step.target);
    if (!must_not_be_link(step.target))
        return linux_os::make_directories_in_root(root_, step.target, 0755);
    const std::string name = step.target.substr(1);
    if (::mkdirat(root_.get(), name.c_str(), 0755) < 0 && errno != EEXIST)
        throw_errno("making directory {} in the root", step.target);
    UniqueFd target{::openat(root_.get(), name.c_str(), kPath | O_DIRECTORY | O_NOFOLLOW)};
    if (!target && (errno == ENOTDIR || errno == ELOOP))
        throw Error(ErrorKind::invalid, "{} in the root file system is not a directory",
                    step.target);
    if (!target) throw_errno("opening {} in the root", step.target);
    return target;
}

UniqueFd Rootfs::make_mount(const MountStep& step, const Plan& plan) const {
    switch (step.kind) {
        case MountKind::bind: {
            UniqueFd mount = clone_source(step);
            // Flags are only added: those that the host locked stay. Clearing is best effort for
            // the same reason.
            if (step.own.set)
                linux_os::change_mount(mount, {step.own.set, step.own.clear & MOUNT_ATTR__ATIME, 0},
                                       Depth::single);
            return mount;
        }
        case MountKind::cgroup:
            return make_cgroup_mount(step, plan);
        case MountKind::filesystem:
            return make_kernel_filesystem(step, plan);
    }
    throw Error(ErrorKind::internal, "mount {}: unknown kind", step.target);
}

void Rootfs::mount_one(const MountStep& step, const Plan& plan) {
    UniqueFd mount = make_mount(step, plan);
    const UniqueFd target = open_target(step, mount);
    // The plan looked at the name only; a link of the image may lead there as well.
    const bool names_proc = step.target == "/proc" || step.target.starts_with("/proc/");
    if (!names_proc && linux_os::filesystem_magic(target) == PROC_SUPER_MAGIC)
        throw Error(ErrorKind::invalid, "mount {}: leads into /proc", step.target);
    if (is_directory(mount) != is_directory(target)) throw different_kinds();
    linux_os::attach_mount(mount, target);
    change_after_attach(mount, step);
    if (step.target == "/proc" && linux_os::filesystem_magic(mount) == PROC_SUPER_MAGIC)
        proc_ = std::move(mount);
}

void Rootfs::mount_all(const Plan& plan) {
    for (const MountStep& step : plan.mounts) try {
            mount_one(step, plan);
        } catch (Error& error) {
            const std::string& source = step.source.empty() ? step.type : step.source;
            if (error.errno_value() == ENOTDIR) error = different_kinds();
            throw error.while_("mounting {} at {}", source, step.target);
        }
}

void Rootfs::make_device(const oci::Device& device) {
    const UniqueFd parent = linux_os::make_directories_in_root(root_, parent_of(device.path), 0755);
    const std::string name = name_of(device.path);
    const mode_t type = device.type == "b" ? S_IFBLK : device.type == "p" ? S_IFIFO : S_IFCHR;
    const dev_t number =
        makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
    if (::mknodat(parent.get(), name.c_str(), type | device.file_mode.value_or(0666), number) ==
        0) {
        if (::fchownat(parent.get(), name.c_str(), device.uid.value_or(0), device.gid.value_or(0),
                       AT_SYMLINK_NOFOLLOW) < 0)
            throw_errno("owner of device {}", device.path);
        return;
    }
    if (errno != EPERM && errno != EEXIST) throw_errno("making device {}", device.path);
    // No mknod in a user namespace: the host's node is lent, after a look that it is the one.
    const UniqueFd host{::open(device.path.c_str(), kPath | O_NOFOLLOW)};
    if (!host) throw_errno("device {} of the host", device.path);
    const struct stat about = status_of(host);
    if ((about.st_mode & S_IFMT) != type || about.st_rdev != number)
        throw Error(ErrorKind::invalid, "device {} of the host is not {} {}:{}", device.path,
                    device.type, device.major, device.minor);
    const UniqueFd mount = linux_os::clone_mount(host, Depth::single);
    linux_os::attach_mount(mount, linux_os::make_file_in_root(root_, device.path));
}

void Rootfs::make_devices(const Plan& plan) {
    if (!plan.makes_devices) return;
    MountStep dev;
    dev.target = "/dev";
    const UniqueFd directory = open_target(dev, BorrowedFd{});
    for (const oci::Device& device : plan.devices) make_device(device);
    constexpr std::pair<const char*, const char*> kLinks[] = {{"/proc/self/fd", "fd"},
                                                              {"/proc/self/fd/0", "stdin"},
                                                              {"/proc/self/fd/1", "stdout"},
                                                              {"/proc/self/fd/2", "stderr"},
                                                              {"pts/ptmx", "ptmx"}};
    for (const auto& [text, name] : kLinks)
        if (::symlinkat(text, directory.get(), name) < 0 && errno != EEXIST)
            throw_errno("making the link /dev/{}", name);
}

linux_os::Terminal Rootfs::make_console() {
    linux_os::Terminal terminal = linux_os::open_terminal(
        linux_os::open_in_root(root_, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, Resolve::no_symlinks));
    const UniqueFd target = linux_os::make_file_in_root(root_, "/dev/console");
    linux_os::attach_mount(linux_os::clone_mount(terminal.slave, Depth::single), target);
    return terminal;
}

void Rootfs::write_sysctls(const std::map<std::string, std::string>& values) {
    if (values.empty()) return;
    if (!proc_) proc_ = linux_os::make_filesystem("proc", "proc", {}, kHarmless);
    if (linux_os::filesystem_magic(proc_) != PROC_SUPER_MAGIC)
        throw Error(ErrorKind::invalid, "/proc is not a proc file system");
    for (const auto& [name, value] : values) {
        const UniqueFd file = open_sysctl(proc_, name);
        if (::write(file.get(), value.data(), value.size()) < 0)
            throw_errno("sysctl {} = {}", name, value);
    }
}

void Rootfs::mask(const std::string& path) {
    const UniqueFd target = linux_os::try_open_in_root(root_, path, kPath, Resolve::in_root);
    if (!target) return;
    if (!S_ISDIR(status_of(target).st_mode)) {
        linux_os::attach_mount(linux_os::clone_mount(null_, Depth::single), target);
        return;
    }
    if (!empty_) {
        empty_ = make_empty_directory();
        linux_os::attach_mount(empty_, target);
        return;
    }
    linux_os::attach_mount(linux_os::clone_mount(empty_, Depth::single), target);
}

void Rootfs::make_readonly(const std::string& path) {
    const UniqueFd target = linux_os::try_open_in_root(root_, path, kPath, Resolve::in_root);
    if (!target) return;
    const UniqueFd mount = linux_os::clone_mount(target, Depth::recursive);
    linux_os::change_mount(mount, {MOUNT_ATTR_RDONLY, 0, 0}, Depth::recursive);
    linux_os::attach_mount(mount, target);
}

void Rootfs::protect_paths(const oci::Linux& part) {
    if (!part.masked_paths.empty()) null_ = open_checked_null();
    for (const std::string& path : part.readonly_paths) try {
            make_readonly(path);
        } catch (Error& error) {
            throw error.while_("making {} read-only", path);
        }
    for (const std::string& path : part.masked_paths) try {
            mask(path);
        } catch (Error& error) {
            throw error.while_("masking {}", path);
        }
}

void Rootfs::make_root_readonly() {
    linux_os::change_mount(root_, {MOUNT_ATTR_RDONLY, 0, 0}, Depth::single);
}

void Rootfs::pivot(const Plan& plan) {
    linux_os::pivot_to(root_);
    if (plan.root_propagation)
        linux_os::change_mount(root_, {0, 0, plan.root_propagation}, Depth::recursive);
    proc_.reset();
    null_.reset();
    empty_.reset();
}

}  // namespace berth::runtime
