#include "engine/containers/archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "archive/compression.h"
#include "base/error.h"
#include "base/go_file_mode.h"
#include "engine/containers/root_view.h"
#include "engine/model/user.h"
#include "linux/rooted_path.h"
#include "oci/id_map.h"
#include "storage/entry_file.h"
#include "storage/extract.h"
#include "storage/tree_tar.h"

namespace berth::engine {

/// A path that was found, and the view that it is in.
struct ContainerArchive final {
    std::shared_ptr<RootView> view;
    std::string path;  // clean_keeping_end()
};

namespace {

using linux_os::Resolve;

constexpr std::size_t kMaxAccountsFile = 4U << 20;

/// The path itself, which may be a link.
UniqueFd open_path(BorrowedFd root, const std::string& path, const std::string& shown,
                   const std::string& ref) {
    try {
        return linux_os::open_in_root(root, path, O_PATH | O_NOFOLLOW, Resolve::in_root);
    } catch (const Error& error) {
        if (error.errno_value() == ENOTDIR)
            throw Error(ErrorKind::invalid, "{}: not a directory", path);
        if (error.errno_value() != ENOENT) throw;
    }
    // docker cp, act and the SDKs look for this text.
    throw Error(ErrorKind::not_found, "Could not find the file {} in container {}", shown, ref);
}

PathStat stat_of(const RootView& view, const std::string& shown, const std::string& ref) {
    const std::string path = linux_os::clean_keeping_end(shown);
    const UniqueFd fd = open_path(view.root, path, shown, ref);
    struct stat status {};
    if (::fstat(fd.get(), &status) < 0) throw_errno("{}", path);
    PathStat result{.name = linux_os::base_of(path),
                    .size = status.st_size,
                    .mode = go_file_mode(status.st_mode),
                    .modified = storage::to_timestamp(status.st_mtim),
                    .link_target = ""};
    if (S_ISLNK(status.st_mode)) result.link_target = linux_os::resolve_in_root(view.root, path);
    return result;
}

storage::OwnerMap from_container(const RootView& view) {
    if (view.maps.empty()) return {};
    return [maps = view.maps](storage::Owner owner) {
        return storage::Owner{oci::mapped_id(maps.uids, owner.uid),
                              oci::mapped_id(maps.gids, owner.gid)};
    };
}

storage::OwnerMap into_container(const RootView& view) {
    if (view.maps.empty()) return {};
    return [maps = view.maps](storage::Owner owner) {
        return storage::Owner{oci::unmapped_id(maps.uids, owner.uid),
                              oci::unmapped_id(maps.gids, owner.gid)};
    };
}

void write_tar(const RootView& view, const std::string& path, archive::Sink& sink,
               std::stop_token stop) {
    const std::string name = linux_os::base_of(path);
    storage::TreeTar tar(sink, std::move(stop), into_container(view));
    const UniqueFd fd =
        linux_os::open_in_root(view.root, path, O_PATH | O_NOFOLLOW, Resolve::in_root);
    struct stat status {};
    if (::fstat(fd.get(), &status) < 0) throw_errno("{}", path);
    if (S_ISDIR(status.st_mode)) {
        // Of the root the names are "/", "/bin" and so on: the docker CLI puts its own before them.
        tar.add_tree({fd, ".", path}, name == "/" ? "" : name);
    } else {
        const std::string parent = storage::split_path(path).directory;
        const UniqueFd directory =
            linux_os::open_in_root(view.root, parent, O_PATH | O_DIRECTORY, Resolve::in_root);
        tar.add_tree({directory, name, path}, name);
    }
    tar.finish();
}

/// What makes writing there impossible.
void check_writable(const RootView& view, BorrowedFd directory, bool read_only_root) {
    struct statx place {
    }, root{};
    struct statvfs facts {};
    if (::statx(directory.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &place) < 0 ||
        ::statx(view.root.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &root) < 0 ||
        ::fstatvfs(directory.get(), &facts) < 0)
        throw_errno("looking at the place to extract to");
    const bool in_root = place.stx_mnt_id == root.stx_mnt_id;
    if (in_root && read_only_root)
        throw Error(ErrorKind::invalid, "container rootfs is marked read-only");
    if (!in_root && (facts.f_flag & ST_RDONLY) != 0)
        throw Error(ErrorKind::invalid, "mounted volume is marked read-only");
}

/// From the archive's to the disk's.
storage::OwnerMap owner_of(const RootView& view, const ArchivePut& request,
                           const std::string& user) {
    const storage::OwnerMap on_disk = from_container(view);
    if (request.owner == ArchiveOwner::as_archived || user.empty()) return on_disk;
    const auto read = [&](const char* path) {
        return linux_os::read_file_in_root(view.root, path, kMaxAccountsFile).value_or("");
    };
    const model::ProcessUser found =
        model::resolve_user(user, {read("/etc/passwd"), read("/etc/group")}, {});
    storage::Owner owner{found.user.uid, found.user.gid};
    if (on_disk) owner = on_disk(owner);
    return [owner](storage::Owner) { return owner; };
}

void put_tar(const RootView& view, const std::string& ref, const ArchivePut& request,
             const model::ContainerRecord& record, BorrowedFd tar, std::stop_token stop) {
    const std::string path =
        linux_os::resolve_in_root(view.root, linux_os::clean_path(request.path));
    const UniqueFd directory = open_path(view.root, path, request.path, ref);
    struct stat status {};
    if (::fstat(directory.get(), &status) < 0) throw_errno("{}", path);
    if (!S_ISDIR(status.st_mode))
        throw Error(ErrorKind::invalid, "extraction point is not a directory");
    check_writable(view, directory, record.host_config.readonly_rootfs);
    storage::ExtractRequest extract{.root = view.root,
                                    .directory = path,
                                    .replacing = storage::Replacing::anything,
                                    .owner = owner_of(view, request, record.config.user),
                                    .stop = std::move(stop)};
    if (request.replacing == ArchiveReplacing::same_kind)
        extract.replacing = storage::Replacing::same_kind;
    archive::FdSource source(tar);
    storage::extract_tar(extract, *archive::decompress(source));
}

/// Runs a job on a thread of its own and lets the view go there, whatever comes of the job.
template <typename Job>
auto run_with_view(ContainerState& state, std::shared_ptr<RootView>& view, Job job) {
    return state.deps.context.pool.run_on_thread(
        "archive", [held = std::move(view), work = std::move(job)]() mutable {
            const std::shared_ptr<RootView> last = std::move(held);
            return work(*last);
        });
}

}  // namespace

async::Task<PathStat> stat_path(ContainerState& state, ContainerPtr container, std::string ref,
                                std::string path) {
    OpenRoot opened = co_await open_root(state, container, RootAccess::read, RootMounts::all);
    auto job = [&](const RootView& view) { return stat_of(view, path, ref); };
    co_return co_await run_with_view(state, opened.view, std::move(job));
}

async::Task<OpenedArchive> open_archive(ContainerState& state, ContainerPtr container,
                                        std::string ref, std::string path) {
    OpenRoot opened = co_await open_root(state, container, RootAccess::read, RootMounts::all);
    const std::shared_ptr<RootView> view = opened.view;
    auto job = [view, &path, &ref] { return stat_of(*view, path, ref); };
    OpenedArchive result;
    result.stat = co_await state.deps.context.pool.run(std::move(job));
    result.source = std::make_shared<ContainerArchive>(
        ContainerArchive{view, linux_os::clean_keeping_end(path)});
    state.publish(*container, "archive-path");
    co_return result;
}

async::Task<void> send_archive(ContainerState& state, std::shared_ptr<ContainerArchive> archive,
                               UniqueFd into, std::stop_token stop) {
    auto job = [&](const RootView& view) {
        const UniqueFd file = std::move(into);
        archive::FdSink sink(file);
        write_tar(view, archive->path, sink, stop);
    };
    co_await run_with_view(state, archive->view, std::move(job));
}

async::Task<void> put_archive(ContainerState& state, ContainerPtr container, std::string ref,
                              ArchivePut request, UniqueFd tar, std::stop_token stop) {
    OpenRoot opened = co_await open_root(state, container, RootAccess::write, RootMounts::all);
    auto job = [&, record = container->record](const RootView& view) {
        const UniqueFd file = std::move(tar);
        put_tar(view, ref, request, record, file, stop);
    };
    co_await run_with_view(state, opened.view, std::move(job));
    state.publish(*container, "extract-to-dir");
}

async::Task<void> export_root(ContainerState& state, ContainerPtr container, UniqueFd into,
                              std::stop_token stop) {
    OpenRoot opened = co_await open_root(state, container, RootAccess::read, RootMounts::none);
    auto job = [&](const RootView& view) {
        const UniqueFd file = std::move(into);
        archive::FdSink sink(file);
        storage::TreeTar tar(sink, stop, into_container(view));
        tar.add_content(view.root, "");
        tar.finish();
    };
    co_await run_with_view(state, opened.view, std::move(job));
    state.publish(*container, "export");
}

}  // namespace berth::engine
