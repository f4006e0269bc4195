// Tries for real what the facts of files cannot tell: a holder in its namespaces, and inside them
// an overlay on the data directory's file system and a fresh /proc.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "linux/enter_namespaces.h"
#include "linux/mount_api.h"
#include "linux/namespaces.h"
#include "linux/overlay_mount.h"
#include "linux/spawn.h"
#include "rootlesskit/host_facts.h"

namespace berth::rootlesskit {
namespace {

// What images need of an overlay: a whiteout, a file copied up, an extended attribute.
void use_overlay(const std::string& scratch) {
    for (const char* name : {"/low", "/upper", "/work"}) make_directories(scratch + name, 0700);
    for (const char* name : {"/low/gone", "/low/kept"})
        replace_file(scratch + name, "1", 0644, Durability::process);
    const UniqueFd mount = linux_os::mount_overlay({.lowerdirs = {scratch + "/low"},
                                                    .upperdir = scratch + "/upper",
                                                    .workdir = scratch + "/work"});
    if (::unlinkat(mount.get(), "gone", 0) < 0) throw_errno("removing a file of a lower layer");
    const UniqueFd file{::openat(mount.get(), "kept", O_WRONLY | O_APPEND | O_CLOEXEC)};
    if (!file) throw_errno("copying a file up");
    if (::fsetxattr(file.get(), "user.berth.probe", "y", 1, 0) < 0)
        throw_errno("setting an extended attribute");
}

void try_overlay(const std::string& data) {
    const std::string scratch = data + "/.berth-doctor-" + random_hex_id();
    make_directories(scratch, 0700);
    const std::string failure = failure_text([&] { use_overlay(scratch); });
    (void)failure_text([&] { remove_tree(scratch); });
    if (!failure.empty()) throw Error::with_text(ErrorKind::unsupported, failure);
}

// Of a pid namespace of its own, as each container's is. Only its first process may mount it.
void try_proc() {
    Pipe pipe = Pipe::make();
    const linux_os::Cloned child =
        linux_os::clone_process({.flags = CLONE_NEWPID | CLONE_NEWNS, .cgroup = {}});
    if (child.pid == 0) {
        const std::string failure =
            failure_text([] { (void)linux_os::make_filesystem("proc", "proc", {}, 0); });
        (void)failure_text([&] { write_all(pipe.write, failure); });
        ::_exit(0);
    }
    pipe.write.reset();
    const std::string failure = read_all(pipe.read);
    ::waitpid(child.pid, nullptr, 0);
    if (!failure.empty()) throw Error::with_text(ErrorKind::denied, failure);
}

// Runs in a child of ours; two lines, so that one failure does not hide the other.
std::string report_inside(BorrowedFd holder, const std::string& data) {
    const std::string entry =
        failure_text([&] { linux_os::enter_user_and_mount_namespaces(holder); });
    if (!entry.empty()) return entry + "\n" + entry;
    const std::string overlay = failure_text([&] { try_overlay(data); });
    return overlay + "\n" + failure_text(try_proc);
}

void try_inside(const linux_os::PidFd& holder, const std::string& data, ProbeFacts& facts) {
    Pipe pipe = Pipe::make();
    const linux_os::Cloned child = linux_os::clone_process({});
    if (child.pid == 0) {
        (void)failure_text([&] { write_all(pipe.write, report_inside(holder.fd(), data)); });
        ::_exit(0);
    }
    pipe.write.reset();
    const std::string report = read_all(pipe.read);
    ::waitpid(child.pid, nullptr, 0);
    const auto line_end = report.find('\n');
    facts.overlay = report.substr(0, line_end);
    facts.proc =
        line_end == std::string::npos ? "the probe ended early" : report.substr(line_end + 1);
}

}  // namespace

ProbeFacts try_host(const Facts& facts, const DirectoryFacts& data) {
    ProbeFacts probes;
    probes.fuse_program = linux_os::find_program("fuse-overlayfs");
    const UniqueFd fuse{::open("/dev/fuse", O_RDWR | O_CLOEXEC)};
    probes.fuse_errno = fuse ? 0 : errno;
    // Without its programs or ids the attempt would only say the same in other words.
    for (const Finding& finding : check(facts))
        if (finding.state == State::broken && finding.name != kTunFinding) {
            probes.namespaces = trouble(State::broken, "namespaces",
                                        fmt::format("not tried: {} is in the way", finding.name));
            return probes;
        }
    try {
        const linux_os::PidFd holder = start_holder(plan_holder(facts));
        const auto end = [&holder](const void*) {
            holder.signal(SIGKILL);
            (void)holder.reap();
        };
        const std::unique_ptr<const void, decltype(end)> ended(&holder, end);
        try_inside(holder, data.nearest, probes);
    } catch (const HolderFailure& failure) {
        probes.namespaces = explain(failure, facts);
    }
    return probes;
}

}  // namespace berth::rootlesskit
