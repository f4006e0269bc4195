#include "daemon/instance_lock.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"
#include "base/file.h"

namespace berth::daemon {
namespace {

bool still_named(BorrowedFd fd, const std::string& path) {
    struct stat ours {
    }, named{};
    return ::fstat(fd.get(), &ours) == 0 && ::stat(path.c_str(), &named) == 0 &&
           ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

// The holder removes the file when it ends: a lock on a file without a name locks nothing.
UniqueFd take_lock(const std::string& path) {
    for (;;) {
        UniqueFd fd = open_file(path, O_RDWR | O_CREAT, 0600);
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
            if (errno != EWOULDBLOCK) throw_errno("locking {}", path);
            std::string who = read_file_if_exists(path).value_or("");
            while (!who.empty() && who.back() == '\n') who.pop_back();
            throw Error(ErrorKind::conflict, "berthd is already running: {}",
                        who.empty() ? "it is just starting" : who);
        }
        if (still_named(fd, path)) return fd;
    }
}

void write_pidfile(const std::string& path) {
    const std::string text = read_file_if_exists(path).value_or("");
    const long pid = std::strtol(text.c_str(), nullptr, 10);
    // A pid left over from a crash may name a stranger by now, or a zombie that nobody has reaped
    // yet: only a berthd that runs counts.
    const std::string stat = read_file_if_exists(fmt::format("/proc/{}/stat", pid)).value_or("");
    const bool runs = stat.find(" (berthd) ") != std::string::npos &&
                      stat.find(" (berthd) Z ") == std::string::npos;
    if (pid > 0 && pid != ::getpid() && runs)
        throw Error(ErrorKind::conflict, "process with PID {} is still running (pid file {})", pid,
                    path);
    replace_file(path, std::to_string(::getpid()), 0644, Durability::process);
}

}  // namespace

InstanceLock::InstanceLock(const Config& config)
    : path_(config.exec_root + "/lock"), pidfile_(config.pidfile) {
    fd_ = take_lock(path_);
    write_pidfile(pidfile_);
    if (::ftruncate(fd_.get(), 0) < 0) throw_errno("writing {}", path_);
    write_all(fd_, fmt::format("pid {}, serving {}\n", ::getpid(), fmt::join(config.hosts, ", ")));
}

InstanceLock::~InstanceLock() {
    ::unlink(pidfile_.c_str());
    ::unlink(path_.c_str());
}

}  // namespace berth::daemon
