#include "oci/default_seccomp.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json.h"

namespace berth::oci {
namespace {

// Calls that every container may make. io_uring is left out: it bypasses seccomp. ptrace and its
// relatives are in since they are safe from Linux 4.8 on, far below what berth needs anyway.
constexpr std::string_view kAlways =
    "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown "
    "chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect "
    "copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
    "epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit "
    "exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir "
    "fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr "
    "flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 "
    "fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv "
    "futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid "
    "geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp "
    "getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 "
    "getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid "
    "gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init "
    "inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents "
    "io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule "
    "landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat "
    "listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr "
    "lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore "
    "mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr "
    "mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock "
    "munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 "
    "pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll "
    "ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease "
    "process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev "
    "pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 "
    "recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 "
    "restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
    "sched_getaffinity sched_getattr sched_getparam sched_get_priority_max "
    "sched_get_priority_min sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
    "sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop "
    "semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 "
    "setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority "
    "setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 "
    "setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid "
    "setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd "
    "signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 "
    "statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time "
    "timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
    "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat "
    "uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid "
    "write writev ";

struct CapabilityCalls final {
    std::string_view capability;
    std::string_view names;
};

constexpr CapabilityCalls kByCapability[] = {
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_SYS_ADMIN",
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount "
     "mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname "
     "sethostname setns syslog umount umount2 unshare"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "delete_module init_module finit_module"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_RAWIO", "iopl ioperm"},
    {"CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"CAP_SYSLOG", "syslog"},
    {"CAP_BPF", "bpf"},
    {"CAP_PERFMON", "perf_event_open"},
};

#if defined(__x86_64__)
constexpr std::string_view kArchitecture = "SCMP_ARCH_X86_64";
constexpr std::string_view kGoArchitecture = "amd64";
constexpr std::string_view kSubArchitectures = "SCMP_ARCH_X86 SCMP_ARCH_X32";
constexpr std::string_view kArchitectureCalls = "arch_prctl modify_ldt";
#elif defined(__aarch64__)
constexpr std::string_view kArchitecture = "SCMP_ARCH_AARCH64";
constexpr std::string_view kGoArchitecture = "arm64";
constexpr std::string_view kSubArchitectures = "SCMP_ARCH_ARM";
constexpr std::string_view kArchitectureCalls =
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";
#elif defined(__riscv)
constexpr std::string_view kArchitecture = "SCMP_ARCH_RISCV64";
constexpr std::string_view kGoArchitecture = "riscv64";
constexpr std::string_view kSubArchitectures = "";
constexpr std::string_view kArchitectureCalls = "riscv_flush_icache riscv_hwprobe";
#else
#error "the default seccomp policy does not know this architecture yet"
#endif

// CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
constexpr std::uint64_t kNamespaceFlags = 0x7E020000;
constexpr std::uint64_t kAfVsock = 40;

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> list;
    while (!text.empty()) {
        const auto space = text.find(' ');
        if (space != 0) list.emplace_back(text.substr(0, space));
        text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    }
    return list;
}

SeccompRule allow(std::vector<std::string> names, std::vector<SeccompArg> args = {}) {
    return {std::move(names), "SCMP_ACT_ALLOW", std::nullopt, std::move(args)};
}

void add_clone_rules(Seccomp& policy) {
    policy.rules.push_back(allow({"clone"}, {{0, kNamespaceFlags, 0, "SCMP_CMP_MASKED_EQ"}}));
    // The flags of clone3 lie in memory where BPF cannot look; ENOSYS makes libc use clone.
    policy.rules.push_back({{"clone3"}, "SCMP_ACT_ERRNO", ENOSYS, {}});
}

}  // namespace

Seccomp default_seccomp(const std::vector<std::string>& capabilities) {
    const std::set<std::string_view> held(capabilities.begin(), capabilities.end());
    Seccomp policy;
    policy.default_action = "SCMP_ACT_ERRNO";
    policy.default_errno_ret = EPERM;
    policy.architectures = words(kSubArchitectures);
    policy.architectures.insert(policy.architectures.begin(), std::string(kArchitecture));
    policy.rules.push_back(allow(words(kAlways)));
    policy.rules.push_back(allow(words(kArchitectureCalls)));
    policy.rules.push_back(allow({"socket"}, {{0, kAfVsock, 0, "SCMP_CMP_NE"}}));
    // PER_LINUX, PER_LINUX32, UNAME26 with each of them, and the query.
    for (const std::uint64_t persona : {0x0ULL, 0x8ULL, 0x20000ULL, 0x20008ULL, 0xffffffffULL})
        policy.rules.push_back(allow({"personality"}, {{0, persona, 0, "SCMP_CMP_EQ"}}));
    for (const CapabilityCalls& entry : kByCapability)
        if (held.contains(entry.capability)) policy.rules.push_back(allow(words(entry.names)));
    if (!held.contains("CAP_SYS_ADMIN")) add_clone_rules(policy);
    return policy;
}

namespace {

bool any_of(const std::vector<std::string>& wanted, const std::set<std::string_view>& held) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [&held](const std::string& name) { return held.contains(name); });
}

bool all_of(const std::vector<std::string>& wanted, const std::set<std::string_view>& held) {
    return std::all_of(wanted.begin(), wanted.end(),
                       [&held](const std::string& name) { return held.contains(name); });
}

/// Docker's conditions of one rule: all capabilities of `includes` and one of its architectures,
/// none of `excludes`. minKernel is always met: berth needs a newer one than any file names.
bool applies(const JsonReader& rule, const std::set<std::string_view>& held) {
    const JsonReader includes = rule.object("includes");
    const JsonReader excludes = rule.object("excludes");
    const std::set<std::string_view> architecture{kGoArchitecture};
    if (const auto arches = includes.strings("arches");
        !arches.empty() && !any_of(arches, architecture))
        return false;
    return all_of(includes.strings("caps"), held) && !any_of(excludes.strings("caps"), held) &&
           !any_of(excludes.strings("arches"), architecture);
}

std::vector<std::string> mapped_architectures(const JsonReader& file) {
    std::vector<std::string> list = file.strings("architectures");
    for (const JsonReader& entry : file.objects("archMap")) {
        if (entry.string("architecture") != kArchitecture) continue;
        list.emplace_back(kArchitecture);
        for (std::string& sub : entry.strings("subArchitectures")) list.push_back(std::move(sub));
    }
    return list;
}

}  // namespace

Seccomp parse_docker_seccomp(std::string_view text, const std::vector<std::string>& capabilities) {
    const std::set<std::string_view> held(capabilities.begin(), capabilities.end());
    const nlohmann::json document = parse_json(text);
    const JsonReader file(document, "seccomp profile");
    nlohmann::json chosen = document;
    chosen["syscalls"] = nlohmann::json::array();
    for (const JsonReader& rule : file.objects("syscalls"))
        if (applies(rule, held)) chosen["syscalls"].push_back(rule.value());
    Seccomp policy = parse_seccomp(JsonReader(chosen, "seccomp profile"));
    policy.architectures = mapped_architectures(file);
    return policy;
}

}  // namespace berth::oci
