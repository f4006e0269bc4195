#include "engine/containers/root_view.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/containers/exit.h"
#include "engine/containers/shim_mounts.h"
#include "engine/volume/state.h"
#include "linux/mount_api.h"
#include "linux/overlay_mount.h"
#include "linux/process_tree.h"
#include "linux/rooted_path.h"
#include "linux/spawn.h"
#include "storage/driver.h"

namespace berth::engine {

namespace {

constexpr std::chrono::seconds kExit{5};

using linux_os::Depth;
using linux_os::Resolve;

/// What a worker needs to know.
struct RootPlan final {
    const Storage& storage;
    std::string directory;  // containers/<id>
    std::optional<Digest> top;
    pid_t process = 0;       // process 1; 0: the container does not run
    std::string mounted_at;  // where its shim mounted the root
    std::vector<model::MountPoint> mounts;
    /// Options of volumes that are one, by destination: nothing is mounted there while no container
    /// that has it runs.
    std::map<std::string, std::vector<std::string>> tmpfs;
    model::IdMaps maps;
    bool files = false;  // hosts, hostname and resolv.conf too
    RootAccess access = RootAccess::read;
};

UniqueFd own_mount_namespace() { return open_file("/proc/thread-self/ns/mnt", O_RDONLY); }

/// This thread alone gets a mount namespace, a copy of `of` (none: of its present one).
void enter_copy_of(BorrowedFd of) {
    if (::unshare(CLONE_FS) < 0) throw_errno("leaving the engine's directories");
    if (of && ::setns(of.get(), CLONE_NEWNS) < 0) throw_errno("entering the shim's mounts");
    if (::unshare(CLONE_NEWNS) < 0) throw_errno("making a mount namespace");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
        throw_errno("setting the propagation of mounts");
}

/// The mount that the container itself uses is in the namespace of its shim.
UniqueFd take_from_shim(const RootPlan& plan) {
    const auto figures = linux_os::figures_of(plan.process);
    if (!figures) throw Error(ErrorKind::unavailable, "the container has just ended");
    const std::string name = fmt::format("/proc/{}/ns/mnt", figures->parent);
    enter_copy_of(open_file(name, O_RDONLY));
    UniqueFd root = open_file(plan.mounted_at, O_PATH | O_DIRECTORY);
    if (!linux_os::is_mount_root(root))
        throw Error(ErrorKind::unavailable, "the container has just ended");
    return root;
}

/// fuse-overlayfs lives as long as a mount of it does, and so would the namespace that it is in:
/// the one that is kept is another one.
void leave_to_fuse(const std::string& target) {
    const UniqueFd its = own_mount_namespace();
    if (::unshare(CLONE_NEWNS) < 0) throw_errno("making a mount namespace");
    const UniqueFd ours = own_mount_namespace();
    if (::setns(its.get(), CLONE_NEWNS) < 0) throw_errno("entering a mount namespace");
    if (::umount2(target.c_str(), MNT_DETACH) < 0) throw_errno("unmounting {}", target);
    if (::setns(ours.get(), CLONE_NEWNS) < 0) throw_errno("entering a mount namespace");
}

UniqueFd mount_fuse(const std::string& program, const linux_os::OverlayLayout& layout,
                    const std::string& target) {
    linux_os::SpawnRequest request;
    request.program = program;
    request.arguments = {program, "-o", linux_os::fuse_overlay_options(layout), target};
    request.environment = linux_os::current_environment();
    const int code = linux_os::spawn(request).reap().code;
    if (code != 0)
        throw Error(ErrorKind::internal, "mounting {}: {} ended with status {}", target, program,
                    code);
    leave_to_fuse(target);
    return open_file(target, O_PATH | O_DIRECTORY);
}

/// Over whatever is mounted at the target. Who only reads needs no writable layer: an overlay
/// without one is unmounted without waiting for the disk.
UniqueFd mount_rootfs(const shim::RootfsMount& rootfs, RootAccess access,
                      const std::string& target) {
    make_directories(target, 0700);
    UniqueFd mount;
    if (rootfs.kind == shim::RootfsKind::path) {
        mount = linux_os::clone_mount(rootfs.path, Depth::single);
    } else {
        linux_os::OverlayLayout layout{rootfs.lowerdirs, rootfs.upperdir, rootfs.workdir,
                                       rootfs.uid_mapping, rootfs.gid_mapping};
        if (access == RootAccess::read && !rootfs.upperdir.empty()) {
            layout.lowerdirs.insert(layout.lowerdirs.begin(), rootfs.upperdir);
            layout.upperdir = layout.workdir = "";
        }
        if (rootfs.kind == shim::RootfsKind::fuse_overlayfs)
            return mount_fuse(rootfs.program, layout, target);
        mount = linux_os::mount_overlay(layout);
    }
    linux_os::attach_mount(mount, target);
    return mount;
}

std::string target_of(const RootPlan& plan) { return plan.directory + "/view"; }

void unmount_target(const RootPlan& plan) {
    if (::umount2(target_of(plan).c_str(), MNT_DETACH) < 0)
        throw_errno("unmounting {}", target_of(plan));
}

/// For a container that does not run.
UniqueFd mount_own(const RootPlan& plan, RootAccess access) {
    const storage::RootfsMount rootfs =
        storage::prepare_rootfs(plan.storage.driver, plan.storage.layers, plan.directory, plan.top);
    return mount_rootfs(shim_rootfs(rootfs, plan.maps), access, target_of(plan));
}

enum class Absent { make, refuse, skip };

/// Mounts `source` on `destination`. False when there is no place for it and none may be made.
bool mount_at(BorrowedFd root, BorrowedFd mount, const std::string& destination, Absent absent) {
    UniqueFd target = linux_os::try_open_in_root(root, destination, O_PATH, Resolve::in_root);
    if (!target && absent != Absent::make) return absent == Absent::skip;
    struct stat status {};
    if (::fstat(mount.get(), &status) < 0) throw_errno("mounting at {}", destination);
    if (!target)
        target = S_ISDIR(status.st_mode)
                     ? linux_os::make_directories_in_root(root, destination, 0755)
                     : linux_os::make_file_in_root(root, destination);
    linux_os::attach_mount(mount, target);
    return true;
}

UniqueFd detached(BorrowedFd source, const model::MountPoint& point) {
    UniqueFd mount =
        linux_os::clone_mount(source, point.non_recursive ? Depth::single : Depth::recursive);
    if (!point.read_write)
        linux_os::change_mount(mount, {MOUNT_ATTR_RDONLY, 0, 0}, Depth::recursive);
    return mount;
}

/// Empty when it is gone, or leads out by now.
UniqueFd place_in(UniqueFd source, const std::string& subpath) {
    if (!source || subpath.empty()) return source;
    try {
        return linux_os::open_in_root(source, subpath, O_PATH, Resolve::beneath);
    } catch (const Error&) {
        return {};
    }
}

UniqueFd image_source(const RootPlan& plan, const model::MountPoint& point) {
    const shim::RootfsMount rootfs = image_rootfs(point, plan.storage, plan.directory, plan.maps);
    const UniqueFd place =
        place_in(mount_rootfs(rootfs, RootAccess::read, target_of(plan)), point.subpath);
    UniqueFd mount = place ? detached(place, point) : UniqueFd();
    unmount_target(plan);
    return mount;
}

/// A detached copy of what is mounted; nothing when the source is gone.
UniqueFd source_of(const RootPlan& plan, const model::MountPoint& point) {
    if (point.type == model::MountType::image) return image_source(plan, point);
    const std::string& path = point.device.empty() ? point.source : point.device;
    if (path.empty()) return {};
    UniqueFd source{::open(path.c_str(), O_PATH | O_CLOEXEC)};
    const auto options = plan.tmpfs.find(point.destination);
    if (source && options != plan.tmpfs.end() && !linux_os::is_mount_root(source))
        return point.subpath.empty() ? make_tmpfs(options->second) : UniqueFd();
    source = place_in(std::move(source), point.subpath);
    return source ? detached(source, point) : UniqueFd();
}

std::vector<UniqueFd> sources_of(const RootPlan& plan) {
    std::vector<UniqueFd> sources;
    for (const model::MountPoint& point : plan.mounts) sources.push_back(source_of(plan, point));
    return sources;
}

/// Volumes, binds, images (`sources`) and the files that the engine makes. False: a mount point has
/// to be made first.
bool mount_all(const RootPlan& plan, const std::vector<UniqueFd>& sources, BorrowedFd root,
               Absent absent) {
    if (plan.files)
        for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
            const std::string file = plan.directory + "/" + name;
            const std::string place = std::string("/etc/") + name;
            if (exists(file))
                mount_at(root, linux_os::clone_mount(file, Depth::single), place, Absent::skip);
        }
    for (std::size_t n = 0; n < sources.size(); ++n)
        if (sources[n] && !mount_at(root, sources[n], plan.mounts[n].destination, absent))
            return false;
    return true;
}

/// On a thread of its own, which stays in the namespace to its end. Sources come before the root,
/// which could cover them.
std::shared_ptr<RootView> make_view(const RootPlan& plan) {
    UniqueFd root;
    if (plan.process != 0) {
        root = take_from_shim(plan);
        mount_all(plan, sources_of(plan), root, Absent::make);
    } else {
        enter_copy_of({});
        std::vector<UniqueFd> sources = sources_of(plan);
        root = mount_own(plan, plan.access);
        const Absent absent = plan.access == RootAccess::read ? Absent::refuse : Absent::make;
        if (!mount_all(plan, sources, root, absent)) {
            root.reset();
            unmount_target(plan);
            sources = sources_of(plan);
            root = mount_own(plan, RootAccess::write);
            mount_all(plan, sources, root, Absent::make);
        }
    }
    return std::make_shared<RootView>(RootView{own_mount_namespace(), std::move(root), plan.maps});
}

RootPlan plan_of(const ContainerState& state, const Container& container, RootAccess access,
                 RootMounts mounts) {
    const model::ContainerRecord& record = container.record;
    RootPlan plan{.storage = state.deps.context.storage,
                  .directory = state.directory(record.id),
                  .top = std::nullopt,
                  .process = record.state.has_process() ? record.state.pid : 0,
                  .mounted_at = state.run_directory(record.id) + "/rootfs",
                  .mounts = {},
                  .tmpfs = {},
                  .maps = model::id_maps_of(record.host_config, state.deps.abilities.user,
                                            state.deps.abilities.id_counts),
                  .files = mounts == RootMounts::all,
                  .access = access};
    if (!record.top_layer.empty()) plan.top = Digest::parse(record.top_layer);
    if (mounts == RootMounts::none) return plan;
    for (const model::MountPoint& point : record.mounts) {
        if (point.type == model::MountType::tmpfs) continue;
        plan.mounts.push_back(point);
        if (point.type != model::MountType::volume) continue;
        if (auto options = state.deps.volumes.tmpfs_options(point.name))
            plan.tmpfs.emplace(point.destination, *std::move(options));
    }
    return plan;
}

}  // namespace

async::Task<OpenRoot> open_root(ContainerState& state, ContainerPtr container, RootAccess access,
                                RootMounts mounts) {
    OpenRoot opened;
    opened.guard = co_await container->operations.acquire();
    for (;;) {
        if (container->removing || container->removed)
            throw Error(ErrorKind::conflict, "container {} is being removed", container->id());
        const bool runs = container->state().has_process();
        if (!runs) co_await wait_cleaned_up(*container);
        auto job = [plan = plan_of(state, *container, access, mounts)] { return make_view(plan); };
        std::optional<Error> failure;
        try {
            opened.view =
                co_await state.deps.context.pool.run_on_thread("root view", std::move(job));
        } catch (const Error& error) {
            failure = error;
        }
        if (failure) {
            // It ended meanwhile, and its root is mounted nowhere; the exit is just about to be
            // booked.
            if (runs && container->state().has_process() && has_ended(*container))
                co_await container->changed.wait_until(std::chrono::steady_clock::now() + kExit);
            if (!runs || container->state().has_process()) throw *failure;
            continue;
        }
        if (runs || access == RootAccess::read) opened.guard.release();
        co_return opened;
    }
}

std::set<std::string> mount_points_of(const model::ContainerRecord& record) {
    std::set<std::string> points{
        ".dockerenv",      "dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf",
        "sbin/docker-init"};
    for (const model::MountPoint& point : record.mounts)
        points.insert(linux_os::clean_path(point.destination).substr(1));
    for (const model::Device& device : record.host_config.devices)
        points.insert(linux_os::clean_path(device.path_in_container).substr(1));
    return points;
}

}  // namespace berth::engine
