#include "linux/namespaces.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "linux/spawn.h"

namespace berth::linux_os {
namespace {

struct Known final {
    std::string_view type;
    std::string_view file;
    std::uint64_t flag;
};
constexpr Known kKnownNamespaces[] = {
    {"user", "user", CLONE_NEWUSER},       {"mount", "mnt", CLONE_NEWNS},
    {"pid", "pid", CLONE_NEWPID},          {"network", "net", CLONE_NEWNET},
    {"uts", "uts", CLONE_NEWUTS},          {"ipc", "ipc", CLONE_NEWIPC},
    {"cgroup", "cgroup", CLONE_NEWCGROUP}, {"time", "time", CLONE_NEWTIME},
};

const Known& find_known(std::string_view type) {
    for (const Known& entry : kKnownNamespaces)
        if (entry.type == type) return entry;
    throw Error(ErrorKind::invalid, "unknown namespace type \"{}\"", type);
}

/// True when the file took the map; false when the kernel wants a privileged writer.
bool write_map_file(const std::string& path, const std::string& map) {
    const UniqueFd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!file) throw_errno("opening {}", path);
    if (::write(file.get(), map.data(), map.size()) == static_cast<ssize_t>(map.size()))
        return true;
    if (errno == EPERM) return false;
    throw_errno("writing {}", path);
}

void run_map_program(pid_t pid, IdKind kind, const std::vector<IdRange>& ranges) {
    const std::string name = kind == IdKind::uid ? "newuidmap" : "newgidmap";
    SpawnRequest request;
    for (const char* directory : {"/usr/bin/", "/bin/", "/usr/local/bin/"})
        if (request.program.empty() && ::access((directory + name).c_str(), X_OK) == 0)
            request.program = directory + name;
    if (request.program.empty())
        throw Error(ErrorKind::unavailable, "{} is not installed (package uidmap)", name);
    request.arguments = {name, std::to_string(pid)};
    for (const IdRange& range : ranges)
        for (const auto number : {range.inside, range.outside, range.count})
            request.arguments.push_back(std::to_string(number));
    const UniqueFd terminal{::fcntl(2, F_DUPFD_CLOEXEC, 3)};
    if (terminal) request.fds.emplace_back(terminal.borrow(), 2);
    const ExitStatus status = spawn(request).reap();
    if (status.code != 0)
        throw Error(ErrorKind::denied, "{} refused the id map of process {} (exit code {})", name,
                    pid, status.code);
}

}  // namespace

std::uint64_t namespace_flag(std::string_view type) { return find_known(type).flag; }
std::string_view namespace_file(std::string_view type) { return find_known(type).file; }

Cloned clone_process(const CloneRequest& request) {
    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = request.flags | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    // A child made with CLONE_PARENT reports to the parent with the caller's own exit signal.
    arguments.exit_signal = request.flags & CLONE_PARENT ? 0 : SIGCHLD;
    if (request.cgroup) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = static_cast<std::uint64_t>(request.cgroup.get());
    }
    const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) throw_errno("making the container's process");
    Cloned cloned;
    cloned.pid = static_cast<pid_t>(pid);
    if (pid > 0) cloned.pidfd.reset(pidfd);
    return cloned;
}

void write_id_map(pid_t pid, IdKind kind, const std::vector<IdRange>& ranges) {
    const std::string directory = fmt::format("/proc/{}/", pid);
    std::string map;
    for (const IdRange& range : ranges)
        map += fmt::format("{} {} {}\n", range.inside, range.outside, range.count);
    if (write_map_file(directory + (kind == IdKind::uid ? "uid_map" : "gid_map"), map)) return;
    const bool own_id_only = ranges.size() == 1 && ranges[0].count == 1 &&
                             ranges[0].outside == (kind == IdKind::uid ? ::geteuid() : ::getegid());
    if (own_id_only && kind == IdKind::gid) {
        // CVE-2014-8989: an unprivileged gid map is only taken once setgroups is off.
        write_map_file(directory + "setgroups", "deny");
        if (write_map_file(directory + "gid_map", map)) return;
    }
    run_map_program(pid, kind, ranges);
}

void bring_loopback_up() {
    const UniqueFd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!socket) throw_errno("opening a socket for the loopback interface");
    ifreq request{};
    std::memcpy(request.ifr_name, "lo", sizeof "lo");
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) < 0) throw_errno("reading the flags of lo");
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP | IFF_RUNNING);
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) < 0) throw_errno("bringing lo up");
}

}  // namespace berth::linux_os
