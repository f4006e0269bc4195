#include "tests/support/userns.h"

#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

namespace berth::test {
namespace {

struct Range final {
    std::string first;
    std::string count;
};

std::optional<Range> range_of(const char* file, uid_t uid) {
    const passwd* user = ::getpwuid(uid);
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string name = line.substr(0, first);
        if (name == std::to_string(uid) || (user != nullptr && name == user->pw_name))
            return Range{line.substr(first + 1, second - first - 1), line.substr(second + 1)};
    }
    return std::nullopt;
}

// In the child: maps 0 to the parent's own id and 1 onwards to the range.
int write_map(const char* program, const char* proc_file, pid_t parent, unsigned own,
              const Range& range) {
    const std::string pid = std::to_string(parent);
    if (own == 0) {  // root needs no program, and has no range of its own
        std::ofstream map("/proc/" + pid + "/" + proc_file);
        map << "0 " << range.first << " " << range.count << "\n";
        return map.flush() ? 0 : 1;
    }
    const pid_t child = ::fork();
    if (child == 0) {
        const std::string own_text = std::to_string(own);
        ::execlp(program, program, pid.c_str(), "0", own_text.c_str(), "1", "1",
                 range.first.c_str(), range.count.c_str(), nullptr);
        ::_exit(127);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

std::string enter() {
    const uid_t uid = ::getuid();
    const gid_t gid = ::getgid();
    const Range fallback{"100000", "65536"};
    const auto users = uid == 0 ? std::optional(fallback) : range_of("/etc/subuid", uid);
    const auto groups = uid == 0 ? std::optional(fallback) : range_of("/etc/subgid", uid);
    if (!users || !groups) return "this user has no range in /etc/subuid and /etc/subgid";

    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) < 0) return "pipe failed";
    const pid_t parent = ::getpid();
    const pid_t mapper = ::fork();
    if (mapper == 0) {
        ::close(ready[1]);
        char byte = 0;
        if (::read(ready[0], &byte, 1) != 1) ::_exit(1);
        const int failed = write_map("newuidmap", "uid_map", parent, uid, *users) != 0 ||
                           write_map("newgidmap", "gid_map", parent, gid, *groups) != 0;
        ::_exit(failed);
    }
    ::close(ready[0]);
    const bool unshared = ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    const std::string reason = unshared ? "" : std::strerror(errno);
    if (unshared && ::write(ready[1], "y", 1) != 1) return "pipe failed";
    ::close(ready[1]);
    int status = 0;
    ::waitpid(mapper, &status, 0);
    if (!unshared) return "no user namespaces: " + reason;
    if (status != 0) return "newuidmap or newgidmap refused the range of this user";
    if (::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0) return "becoming root failed";
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
        return std::string("making mounts private: ") + std::strerror(errno);
    return "";
}

}  // namespace

const std::string& enter_user_namespace() {
    static const std::string reason = enter();
    return reason;
}

}  // namespace berth::test
