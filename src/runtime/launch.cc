#include "runtime/launch.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "linux/message_socket.h"
#include "linux/namespaces.h"

namespace berth::runtime {
namespace {

bool is_own_namespace(const NamespaceJoin& join, BorrowedFd file) {
    struct stat theirs {};
    struct stat ours {};
    const std::string own = fmt::format("/proc/self/ns/{}", linux_os::namespace_file(join.type));
    return ::fstat(file.get(), &theirs) == 0 && ::stat(own.c_str(), &ours) == 0 &&
           theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

int set_namespace(BorrowedFd file, std::uint64_t flags) {
    return static_cast<int>(::syscall(SYS_setns, file.get(), static_cast<int>(flags)));
}

void join_all(const LaunchRequest& request) {
    // CVE-2016-9962: nothing in the namespaces to come may trace us or open our descriptors.
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) throw_errno("becoming non-dumpable");
    if (request.join_process && set_namespace(request.join_process, request.join_flags) < 0)
        throw_errno("joining the container's namespaces");
    std::vector<UniqueFd> files;
    // All are opened before any is joined: /proc may be another one afterwards.
    for (const NamespaceJoin& join : request.joins) files.push_back(open_file(join.path, O_RDONLY));
    for (std::size_t at = 0; at < files.size(); ++at) {
        const NamespaceJoin& join = request.joins[at];
        if (is_own_namespace(join, files[at])) continue;
        if (set_namespace(files[at], join.flag) < 0)
            throw_errno("joining {} namespace {}", join.type, join.path);
    }
}

void close_all_but(std::vector<BorrowedFd> kept, BorrowedFd channel) {
    kept.push_back(channel);
    std::ranges::sort(kept, {}, [](BorrowedFd fd) { return fd.get(); });
    int next = 3;
    for (const BorrowedFd fd : kept) {
        if (fd.get() > next) ::syscall(SYS_close_range, next, fd.get() - 1, 0);
        next = std::max(next, fd.get() + 1);
    }
    if (::syscall(SYS_close_range, next, ~0U, 0) < 0) throw_errno("closing descriptors");
}

/// Tells the parent, if it still listens.
void report(BorrowedFd channel, const ChannelMessage& message) noexcept {
    try {
        send(channel, message);
    } catch (const std::exception&) {
        // It sees the end of file.
    }
}

// These two run in the child: an exception must never unwind into the parent's code there.
[[noreturn]] void run_body(const LaunchRequest& request, std::uint64_t late_namespaces,
                           BorrowedFd channel) noexcept {
    try {
        if (late_namespaces != 0 && ::unshare(static_cast<int>(late_namespaces)) < 0)
            throw_errno("making a cgroup namespace");
        request.body(channel);
    } catch (const Error& error) {
        report(channel, failure_of(error));
    } catch (const std::exception& error) {
        report(channel, Failed{ErrorKind::internal, error.what(), 0});
    }
    ::_exit(1);
}

[[noreturn]] void run_stage(const LaunchRequest& request, BorrowedFd channel) noexcept {
    try {
        join_all(request);
        if (request.kept) close_all_but(*request.kept, channel);
        const linux_os::Cloned cloned =
            linux_os::clone_process({request.new_namespaces | CLONE_PARENT, BorrowedFd{}});
        if (cloned.pid == 0) run_body(request, 0, channel);
        report(channel, Forked{cloned.pid});
        ::_exit(0);
    } catch (const Error& error) {
        report(channel, failure_of(error));
    } catch (const std::exception& error) {
        report(channel, Failed{ErrorKind::internal, error.what(), 0});
    }
    ::_exit(1);
}

}  // namespace

Launched launch(const LaunchRequest& request) {
    auto [ours, theirs] = linux_os::message_socket_pair();
    const bool needs_stage = request.join_process || !request.joins.empty();
    // The kernel roots a new cgroup namespace at the parent's cgroup, not at the one that the same
    // clone enters: it is made a moment later. A stage is inside already when it clones.
    const std::uint64_t late =
        request.cgroup && !needs_stage ? request.new_namespaces & CLONE_NEWCGROUP : 0;
    const std::uint64_t flags = needs_stage ? 0 : request.new_namespaces & ~late;
    linux_os::Cloned cloned = linux_os::clone_process({flags, request.cgroup});
    if (cloned.pid == 0) {
        ours.reset();
        if (needs_stage) run_stage(request, theirs);
        run_body(request, late, theirs);
    }
    theirs.reset();
    linux_os::PidFd child(cloned.pid, std::move(cloned.pidfd));
    if (!needs_stage) return {std::move(child), std::move(ours)};
    ChannelMessage answer = receive(ours);
    child.reap();
    const auto* forked = std::get_if<Forked>(&answer);
    if (!forked) throw_unexpected(answer);
    return {linux_os::PidFd::open(forked->pid), std::move(ours)};
}

void write_id_maps(pid_t pid, const oci::Linux& part) {
    const auto ranges = [](const std::vector<oci::IdMapping>& mappings) {
        std::vector<linux_os::IdRange> list;
        for (const oci::IdMapping& entry : mappings)
            list.push_back({entry.container_id, entry.host_id, entry.size});
        return list;
    };
    linux_os::write_id_map(pid, linux_os::IdKind::gid, ranges(part.gid_mappings));
    linux_os::write_id_map(pid, linux_os::IdKind::uid, ranges(part.uid_mappings));
}

}  // namespace berth::runtime
