#include "linux/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/ranges.h>
#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "base/error.h"

namespace berth::linux_os {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> result;
    result.reserve(texts.size() + 1);
    for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
    result.push_back(nullptr);
    return result;
}

// What the child needs, prepared by the parent: between clone and exec nothing may allocate.
struct ChildPlan {
    const SpawnRequest* request;
    char** argv;
    char** envp;
    std::pair<int, int>* fds;  // {ours, theirs}, scratch copies are written into `ours`
    std::size_t fd_count;
    int highest_target;
    int error = 0;  // shared with the parent: CLONE_VM
};

// Every source is first moved above all targets, so that no dup2 overwrites a source still needed.
bool place_descriptors(ChildPlan& plan) {
    for (std::size_t i = 0; i < plan.fd_count; ++i) {
        plan.fds[i].first = ::fcntl(plan.fds[i].first, F_DUPFD_CLOEXEC, plan.highest_target + 1);
        if (plan.fds[i].first < 0) return false;
    }
    for (int standard = 0; standard <= 2; ++standard) {
        const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null_fd < 0) return false;
        if (null_fd == standard) {
            ::fcntl(null_fd, F_SETFD, 0);
        } else if (::dup2(null_fd, standard) < 0 || ::close(null_fd) < 0) {
            return false;
        }
    }
    for (std::size_t i = 0; i < plan.fd_count; ++i)
        if (::dup2(plan.fds[i].first, plan.fds[i].second) < 0) return false;
    return true;
}

// Only returns, with errno set, when a step failed.
void exec_child(ChildPlan& plan) {
    const SpawnRequest& request = *plan.request;
    for (int number = 1; number < NSIG; ++number) {
        struct sigaction action {};
        if (::sigaction(number, nullptr, &action) < 0 || action.sa_handler == SIG_DFL) continue;
        action.sa_handler = SIG_DFL;
        action.sa_flags = 0;
        ::sigaction(number, &action, nullptr);
    }
    if (!place_descriptors(plan)) return;
    if (request.death_signal && ::prctl(PR_SET_PDEATHSIG, *request.death_signal) < 0) return;
    if (request.new_session && ::setsid() < 0) return;
    if (!request.directory.empty() && ::chdir(request.directory.c_str()) < 0) return;
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(request.program.c_str(), plan.argv, plan.envp);
}

int child_entry(void* argument) {
    auto& plan = *static_cast<ChildPlan*>(argument);
    exec_child(plan);
    plan.error = errno;
    ::_exit(127);
}

// glibc's clone(3) gives the child its own stack, which clone3(2) by hand could not under CLONE_VM.
// Entering a cgroup needs clone3, so there the child is a plain copy.
pid_t clone_sharing_memory(ChildPlan& plan, int& pid_fd) {
    constexpr std::size_t kStack = 64U << 10;
    void* stack = ::mmap(nullptr, kStack, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) throw_errno("allocating a stack");
    const pid_t pid = ::clone(child_entry, static_cast<char*>(stack) + kStack,
                              CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pid_fd);
    const int saved = errno;
    ::munmap(stack, kStack);
    errno = saved;
    return pid;
}

pid_t clone_into_cgroup(ChildPlan& plan, BorrowedFd cgroup, int& pid_fd) {
    auto* shared_error = static_cast<int*>(
        ::mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (shared_error == MAP_FAILED) throw_errno("allocating shared memory");
    clone_args arguments{};
    arguments.flags = CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_VFORK;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pid_fd);
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup.get());
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid == 0) {
        exec_child(plan);
        *shared_error = errno;
        ::_exit(127);
    }
    const int saved = errno;
    plan.error = *shared_error;
    ::munmap(shared_error, sizeof(int));
    errno = saved;
    return pid;
}

}  // namespace

PidFd spawn(const SpawnRequest& request) {
    std::vector<char*> argv = pointers(request.arguments);
    std::vector<char*> envp = pointers(request.environment);
    std::vector<std::pair<int, int>> fds;
    int highest = STDERR_FILENO;
    for (const auto& [ours, theirs] : request.fds) {
        fds.emplace_back(ours.get(), theirs);
        highest = std::max(highest, theirs);
    }
    ChildPlan plan{&request, argv.data(), envp.data(), fds.data(), fds.size(), highest};

    // The child resets handlers on the shared stack of signals: none may arrive in between.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    int raw_pid_fd = -1;
    const pid_t pid = request.cgroup ? clone_into_cgroup(plan, request.cgroup, raw_pid_fd)
                                     : clone_sharing_memory(plan, raw_pid_fd);
    const int saved = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) throw Error::from_errno(saved, "starting " + request.program);

    PidFd child{pid, UniqueFd{raw_pid_fd}};
    if (plan.error != 0) {
        (void)child.reap();
        throw Error::from_errno(plan.error, "starting " + request.program);
    }
    return child;
}

std::vector<std::string> current_environment() {
    std::vector<std::string> result;
    for (char** entry = environ; *entry; ++entry) result.emplace_back(*entry);
    return result;
}

std::string find_program(const std::string& name) {
    const char* path = ::secure_getenv("PATH");
    const std::string places = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin:/usr/sbin";
    std::size_t begin = 0;
    while (begin <= places.size()) {
        const auto end = std::min(places.find(':', begin), places.size());
        const std::string candidate = places.substr(begin, end - begin) + "/" + name;
        begin = end + 1;
        if (candidate.starts_with('/') && candidate[1] != '/' &&
            ::access(candidate.c_str(), X_OK) == 0)
            return candidate;
    }
    return "";
}

std::string find_own_program(const std::string& name) {
    char path[4096];
    const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) throw_errno("reading /proc/self/exe");
    const std::string own(path, static_cast<std::size_t>(length));
    const std::string directory = own.substr(0, own.rfind('/'));
    const std::vector<std::string> candidates{directory + "/" + name,
                                              directory + "/../libexec/berth/" + name,
                                              directory + "/../../bin/" + name};
    for (const std::string& candidate : candidates)
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    throw Error(ErrorKind::not_found, "program {} not found: looked at {}", name,
                fmt::join(candidates, ", "));
}

}  // namespace berth::linux_os
