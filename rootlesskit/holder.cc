#include "rootlesskit/holder.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "linux/idle_memory.h"
#include "linux/spawn.h"

namespace berth::rootlesskit {

using linux_os::PidFd;

namespace {

constexpr int kReportFd = 3;

// What the child tells the parent over the socket: a step that failed, or kReady.
struct Report {
    std::int32_t step;
    std::int32_t errno_value;
};
constexpr std::int32_t kReady = -1;

[[noreturn]] void give_up(int socket, HolderStep step) {
    const Report report{static_cast<std::int32_t>(step), errno};
    [[maybe_unused]] const auto sent = ::send(socket, &report, sizeof report, MSG_NOSIGNAL);
    ::_exit(1);
}

// Runs in the child between clone and exec. Nothing of the supervisor may be left open: a held
// lock or an API socket would outlive it.
[[noreturn]] void become_holder(int socket) {
    ::setsid();
    if (::unshare(CLONE_NEWNS) < 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
        give_up(socket, HolderStep::mounts);
    if (::unshare(CLONE_NEWNET) < 0) give_up(socket, HolderStep::network);
    const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) give_up(socket, HolderStep::exec);
    for (int standard = 0; standard <= 2; ++standard) ::dup2(null_fd, standard);
    if (socket == kReportFd) {
        ::fcntl(socket, F_SETFD, 0);
    } else if (::dup2(socket, kReportFd) < 0) {
        give_up(socket, HolderStep::exec);
    }
    ::syscall(SYS_close_range, kReportFd + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    if (::chdir("/") < 0) give_up(kReportFd, HolderStep::exec);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    char program[] = "berthd", verb[] = "holder";
    char* arguments[] = {program, verb, nullptr};
    char* environment[] = {nullptr};
    ::execve("/proc/self/exe", arguments, environment);
    give_up(kReportFd, HolderStep::exec);
}

std::pair<UniqueFd, UniqueFd> report_sockets() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        throw_errno("making a socket pair");
    return {UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

struct Clone {
    pid_t pid;  // 0 in the child
    UniqueFd pid_fd;
};

Clone clone_process(std::uint64_t flags) {
    int pid_fd = -1;
    clone_args arguments{};
    arguments.flags = flags | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pid_fd);
    arguments.exit_signal = SIGCHLD;
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid < 0) throw HolderFailure{HolderStep::clone, errno, ""};
    return {pid, UniqueFd{pid == 0 ? -1 : pid_fd}};
}

PidFd await_report(Clone child, BorrowedFd socket) {
    PidFd holder{child.pid, std::move(child.pid_fd)};
    Report report{static_cast<std::int32_t>(HolderStep::exec), 0};
    ssize_t length;
    do length = ::recv(socket.get(), &report, sizeof report, 0);
    while (length < 0 && errno == EINTR);
    if (length == sizeof report && report.step == kReady) return holder;
    holder.signal(SIGKILL);
    (void)holder.reap();
    throw HolderFailure{static_cast<HolderStep>(report.step), report.errno_value, ""};
}

struct MapWriter {
    PidFd process;
    UniqueFd output;
};

MapWriter start_map_writer(const std::string& program, pid_t target,
                           const std::vector<MapEntry>& map) {
    std::vector<std::string> arguments{program, std::to_string(target)};
    for (const MapEntry& entry : map)
        for (const std::uint64_t number : {entry.inside, entry.outside, entry.count})
            arguments.push_back(std::to_string(number));
    Pipe pipe = Pipe::make();
    linux_os::SpawnRequest request;
    request.program = program;
    request.arguments = std::move(arguments);
    request.fds = {{pipe.write, STDERR_FILENO}};
    return {linux_os::spawn(request), std::move(pipe.read)};
}

std::optional<HolderFailure> finish_map_writer(const MapWriter& writer, HolderStep step) {
    std::string said = read_all(writer.output);
    while (!said.empty() && said.back() == '\n') said.pop_back();
    if (writer.process.reap().code == 0) return std::nullopt;
    return HolderFailure{step, 0, said};
}

// Both at a time: each is a program start.
void write_maps(const HolderPlan& plan, pid_t target) {
    const MapWriter uids = start_map_writer(plan.newuidmap, target, plan.uid_map);
    const MapWriter gids = start_map_writer(plan.newgidmap, target, plan.gid_map);
    const auto uid_failure = finish_map_writer(uids, HolderStep::map_uids);
    const auto gid_failure = finish_map_writer(gids, HolderStep::map_gids);
    if (uid_failure) throw *uid_failure;
    if (gid_failure) throw *gid_failure;
}

}  // namespace

PidFd start_holder(const HolderPlan& plan) {
    auto [ours, theirs] = report_sockets();
    Clone child = clone_process(CLONE_NEWUSER);
    if (child.pid == 0) {
        // Without the map the exec below would lose all capabilities: id 0 must exist first.
        char go = 0;
        ours.reset();
        if (::recv(theirs.get(), &go, 1, 0) != 1) ::_exit(1);
        become_holder(theirs.get());
    }
    theirs.reset();
    try {
        write_maps(plan, child.pid);
    } catch (...) {
        const PidFd holder{child.pid, std::move(child.pid_fd)};
        holder.signal(SIGKILL);
        (void)holder.reap();
        throw;
    }
    [[maybe_unused]] const auto sent = ::send(ours.get(), "g", 1, MSG_NOSIGNAL);
    return await_report(std::move(child), ours);
}

PidFd start_holder_in(const PidFd& member) {
    auto [ours, theirs] = report_sockets();
    Clone child = clone_process(0);
    if (child.pid == 0) {
        ours.reset();
        if (::setns(member.fd().get(), CLONE_NEWUSER) < 0 || ::setgroups(0, nullptr) < 0 ||
            ::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0)
            give_up(theirs.get(), HolderStep::clone);
        become_holder(theirs.get());
    }
    theirs.reset();
    return await_report(std::move(child), ours);
}

void sleep_as_holder() {
    for (const int number : {SIGHUP, SIGINT, SIGPIPE, SIGTSTP, SIGUSR1, SIGUSR2})
        ::signal(number, SIG_IGN);
    const Report report{kReady, 0};
    [[maybe_unused]] const auto sent = ::send(kReportFd, &report, sizeof report, MSG_NOSIGNAL);
    ::close(kReportFd);
    linux_os::release_idle_memory();
    for (;;) ::pause();
}

}  // namespace berth::rootlesskit
