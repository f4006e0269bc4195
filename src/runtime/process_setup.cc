#include "runtime/process_setup.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>

#include "base/error.h"
#include "base/file.h"
#include "linux/capabilities.h"
#include "linux/rooted_path.h"

namespace berth::runtime {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct KnownLimit final {
    std::string_view name;
    __rlimit_resource number;
};
constexpr KnownLimit kLimits[] = {{"RLIMIT_AS", RLIMIT_AS},
                                  {"RLIMIT_CORE", RLIMIT_CORE},
                                  {"RLIMIT_CPU", RLIMIT_CPU},
                                  {"RLIMIT_DATA", RLIMIT_DATA},
                                  {"RLIMIT_FSIZE", RLIMIT_FSIZE},
                                  {"RLIMIT_LOCKS", RLIMIT_LOCKS},
                                  {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                                  {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                                  {"RLIMIT_NICE", RLIMIT_NICE},
                                  {"RLIMIT_NOFILE", RLIMIT_NOFILE},
                                  {"RLIMIT_NPROC", RLIMIT_NPROC},
                                  {"RLIMIT_RSS", RLIMIT_RSS},
                                  {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                                  {"RLIMIT_RTTIME", RLIMIT_RTTIME},
                                  {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                                  {"RLIMIT_STACK", RLIMIT_STACK}};

std::optional<std::string> variable(const std::vector<std::string>& environment,
                                    std::string_view name) {
    // The last one counts, as in the shell.
    for (auto at = environment.rbegin(); at != environment.rend(); ++at)
        if (at->size() > name.size() && at->starts_with(name) && (*at)[name.size()] == '=')
            return at->substr(name.size() + 1);
    return std::nullopt;
}

/// EINVAL of a call that sets ids: the user namespace has no such id.
[[noreturn]] void throw_unmapped(const std::string& what) {
    if (errno != EINVAL) throw_errno("{}", what);
    throw Error(ErrorKind::invalid,
                "{}: the container has no such id: the subordinate ids of this user end before it "
                "(/etc/subuid, /etc/subgid)",
                what);
}

void set_groups(const std::vector<gid_t>& groups) {
    if (::setgroups(groups.size(), groups.data()) == 0) return;
    // In a user namespace of one id setgroups is off, and there are no groups to lose.
    if (errno == EPERM && groups.empty()) return;
    throw_unmapped("setting additional groups");
}

linux_os::CapabilitySets sets_of(const oci::Process& process) {
    if (!process.capabilities) return {};
    const oci::Capabilities& names = *process.capabilities;
    linux_os::CapabilitySets sets;
    sets.bounding = linux_os::capability_mask(names.bounding);
    sets.effective = linux_os::capability_mask(names.effective);
    sets.permitted = linux_os::capability_mask(names.permitted) | sets.effective;
    // CVE-2022-29162: inheritable stays empty unless the specification asks for it.
    sets.inheritable = linux_os::capability_mask(names.inheritable);
    sets.ambient = linux_os::capability_mask(names.ambient);
    return sets;
}

void change_user(const oci::User& user) {
    set_groups(user.additional_gids);
    if (::setresgid(user.gid, user.gid, user.gid) < 0)
        throw_unmapped(fmt::format("setting group {}", user.gid));
    if (::setresuid(user.uid, user.uid, user.uid) < 0)
        throw_unmapped(fmt::format("setting user {}", user.uid));
}

/// CVE-2024-21626: a directory outside the container has no path inside it; the kernel's answer
/// begins with "(unreachable)" then, or fails.
void verify_directory(const std::string& wanted) {
    char path[4096];
    const long size = ::syscall(SYS_getcwd, path, sizeof path);
    if (size <= 0 || path[0] != '/')
        throw Error(ErrorKind::denied,
                    "working directory {}: permission denied: it is outside of the container",
                    wanted);
}

std::string home_of(uid_t uid) {
    // O_NONBLOCK and the type check: the file is the image's and may be a FIFO or a device.
    const UniqueFd file{::open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    struct stat about {};
    constexpr off_t kLargest = 1 << 20;
    if (!file || ::fstat(file.get(), &about) < 0 || !S_ISREG(about.st_mode) ||
        about.st_size > kLargest)
        return "/";
    const std::string text = read_all(file);
    for (std::string_view rest = text; !rest.empty();) {
        const auto end = rest.find('\n');
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        std::vector<std::string_view> fields;
        for (std::size_t colon = 0; colon != std::string_view::npos && fields.size() < 7;) {
            colon = line.find(':');
            fields.push_back(line.substr(0, colon));
            if (colon != std::string_view::npos) line.remove_prefix(colon + 1);
        }
        uid_t found = 0;
        if (fields.size() < 6) continue;
        const auto [stop, bad] =
            std::from_chars(fields[2].data(), fields[2].data() + fields[2].size(), found);
        if (bad == std::errc{} && found == uid && fields[5].starts_with('/'))
            return std::string(fields[5]);
    }
    return "/";
}

/// Go's texts, which clients match, begin in lower case.
std::string reason_of(int errno_value) {
    std::string text = errno_text(errno_value);
    if (!text.empty()) text[0] = static_cast<char>(std::tolower(text[0]));
    return text;
}

[[noreturn]] void throw_exec(const std::string& name, ErrorKind kind, std::string_view text,
                             int errno_value) {
    throw Error::with_text(kind, fmt::format("exec: \"{}\": {}", name, text), errno_value);
}

/// 0 when the file can be executed, else the errno that Go's look-up would see.
int executable_errno(const std::string& path) {
    struct stat about {};
    if (::stat(path.c_str(), &about) < 0) return errno;
    if (S_ISDIR(about.st_mode)) return EISDIR;
    return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) < 0 ? errno : 0;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
}

/// Without no_new_privs a policy needs CAP_SYS_ADMIN to load, so it comes before that is lost.
bool seccomp_can_wait(const oci::Process& process) {
    if (process.no_new_privileges) return true;
    if (!process.capabilities) return false;
    const auto& names = process.capabilities->effective;
    return std::find(names.begin(), names.end(), "CAP_SYS_ADMIN") != names.end();
}

}  // namespace

void give_streams(const oci::User& user) {
    if (user.uid == 0) return;
    struct stat null {};
    if (::stat("/dev/null", &null) < 0) null.st_rdev = 0;
    for (int stream = 0; stream < 3; ++stream) {
        struct stat about {};
        if (::fstat(stream, &about) < 0) continue;
        if (about.st_uid == user.uid || (S_ISCHR(about.st_mode) && about.st_rdev == null.st_rdev))
            continue;
        // A stream from outside (unmapped owner, read-only file system) stays as it is.
        if (::fchown(stream, user.uid, static_cast<gid_t>(-1)) < 0 && errno != EPERM &&
            errno != EINVAL && errno != EROFS && errno != EACCES)
            throw_errno("owner of stream {}", stream);
    }
}

void apply_rlimits(const std::vector<oci::Rlimit>& limits) {
    for (const oci::Rlimit& limit : limits) {
        const auto* found =
            std::find_if(std::begin(kLimits), std::end(kLimits),
                         [&limit](const KnownLimit& entry) { return entry.name == limit.type; });
        if (found == std::end(kLimits))
            throw Error(ErrorKind::invalid, "process.rlimits: unknown type \"{}\"", limit.type);
        const rlimit value{limit.soft, limit.hard};
        if (::setrlimit(found->number, &value) < 0)
            throw_errno("error setting rlimit {} to {}:{}", limit.type, limit.soft, limit.hard);
    }
}

std::string find_executable(const std::string& name, const std::vector<std::string>& environment) {
    // Matched by dockerd, the docker CLI and podman, exit codes 126 and 127.
    if (name.find('/') != std::string::npos) {
        const int failed = executable_errno(name);
        if (failed == 0) return name;
        if (failed == EISDIR) throw_exec(name, ErrorKind::denied, "is a directory", EISDIR);
        if (failed == EACCES) throw_exec(name, ErrorKind::denied, "permission denied", EACCES);
        throw_exec(name, ErrorKind::not_found, fmt::format("stat {}: {}", name, reason_of(failed)),
                   failed);
    }
    std::string path = variable(environment, "PATH").value_or(std::string(kDefaultPath));
    for (std::string_view rest = path; !name.empty() && !rest.empty();) {
        const auto colon = rest.find(':');
        std::string candidate(rest.substr(0, colon));
        candidate = (candidate.empty() ? "." : candidate) + "/" + name;
        if (executable_errno(candidate) == 0) return candidate;
        rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    }
    throw_exec(name, ErrorKind::not_found, "executable file not found in $PATH", ENOENT);
}

void make_working_directory(const std::string& path) {
    try {
        const UniqueFd root = open_file("/", O_PATH | O_DIRECTORY);
        linux_os::make_directories_in_root(root, path, 0755);
    } catch (const Error&) {
        // A read-only root, or one that the user may change and we may not: chdir says what is
        // wrong.
    }
}

PreparedProgram become_user(const oci::Process& process,
                            const std::optional<SeccompProgram>& seccomp) {
    const linux_os::CapabilitySets sets = sets_of(process);
    const bool entered = ::chdir(process.cwd.c_str()) == 0;
    if (entered) verify_directory(process.cwd);
    if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        throw_errno("setting no_new_privs");
    if (seccomp && !seccomp_can_wait(process)) load_seccomp(*seccomp);
    linux_os::limit_bounding_set(sets.bounding);
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) throw_errno("keeping capabilities");
    change_user(process.user);
    if (::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0) throw_errno("keeping capabilities");
    linux_os::apply_capabilities(sets);
    // A directory that only the user may enter (FUSE, squashed root).
    if (!entered && ::chdir(process.cwd.c_str()) < 0)
        throw_errno("working directory {}", process.cwd);
    verify_directory(process.cwd);
    ::umask(process.user.umask.value_or(0022));
    PreparedProgram prepared{find_executable(process.args[0], process.env), process};
    if (!variable(process.env, "HOME"))
        prepared.process.env.push_back("HOME=" + home_of(process.user.uid));
    return prepared;
}

void execute(const PreparedProgram& program, const std::optional<SeccompProgram>& seccomp,
             unsigned preserved_fds) {
    oci::Process process = program.process;
    const auto arguments = pointers(process.args);
    const auto environment = pointers(process.env);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (::syscall(SYS_close_range, 3 + preserved_fds, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        throw_errno("marking descriptors");
    if (seccomp && seccomp_can_wait(process)) load_seccomp(*seccomp);
    ::execve(program.path.c_str(), arguments.data(), environment.data());
    const int saved = errno;
    throw Error::with_text(saved == EACCES ? ErrorKind::denied : ErrorKind::not_found,
                           fmt::format("exec {}: {}", program.path, reason_of(saved)), saved);
}

}  // namespace berth::runtime
