#include "shim/leftovers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "linux/pid_fd.h"

namespace berth::shim {
namespace {

// "NSpid:" has the pid in each namespace, the innermost last.
bool is_first_of_its_namespace(pid_t process) {
    const std::string status = read_file(fmt::format("/proc/{}/status", process));
    const std::size_t at = status.find("\nNSpid:");
    if (at == std::string::npos) return false;
    const std::string line = status.substr(at + 1, status.find('\n', at + 1) - at - 1);
    return line.ends_with("\t1");
}

bool is_in(const std::string& process, const struct stat& mounts) {
    struct stat theirs {};
    // Fails for strangers and for zombies.
    return ::stat(("/proc/" + process + "/ns/mnt").c_str(), &theirs) == 0 &&
           theirs.st_dev == mounts.st_dev && theirs.st_ino == mounts.st_ino;
}

bool kill_one(const std::string& name, const struct stat& mounts) {
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ptr != name.data() + name.size() || !is_in(name, mounts)) return false;
    try {
        const linux_os::PidFd process = linux_os::PidFd::open(pid);
        // Still the same process, now that it is held.
        return is_in(name, mounts) && process.signal(SIGKILL);
    } catch (const Error&) {
        return false;  // gone meanwhile
    }
}

}  // namespace

Leftovers Leftovers::of(pid_t process) {
    Leftovers result;
    if (is_first_of_its_namespace(process)) return result;
    UniqueFd mounts = open_file(fmt::format("/proc/{}/ns/mnt", process), O_RDONLY);
    struct stat theirs {};
    if (::fstat(mounts.get(), &theirs) < 0) throw_errno("reading a mount namespace");
    if (!is_in("self", theirs)) result.mounts_ = std::move(mounts);
    return result;
}

bool Leftovers::kill() const {
    struct stat mounts {};
    if (!mounts_ || ::fstat(mounts_.get(), &mounts) < 0) return false;
    bool found = false;
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", failure))
        found = kill_one(entry.path().filename(), mounts) || found;
    return found;
}

}  // namespace berth::shim
