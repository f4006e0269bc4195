#include "linux/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "linux/rooted_path.h"

namespace berth::linux_os {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

bool is_version_2(const char* path) {
    struct statfs about {};
    return ::statfs(path, &about) == 0 && about.f_type == CGROUP2_SUPER_MAGIC;
}

void enable_controllers(const std::string& directory) {
    const UniqueFd file{
        ::open((directory + "/cgroup.subtree_control").c_str(), O_WRONLY | O_CLOEXEC)};
    if (!file) return;
    // One at a time: one that is absent or not delegated must not keep the others away.
    for (const std::string_view name : {"+cpu", "+cpuset", "+io", "+memory", "+pids"})
        if (::write(file.get(), name.data(), name.size()) < 0) continue;
}

bool waits_until_frozen(BorrowedFd events, const Cgroup& cgroup) {
    constexpr int kTimeoutMs = 10'000;
    while (!cgroup.frozen()) {
        pollfd poller{events.get(), POLLPRI, 0};
        if (::poll(&poller, 1, kTimeoutMs) <= 0) return false;
    }
    return true;
}

}  // namespace

std::optional<std::string> Cgroup::hierarchy() {
    for (const char* path : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
        if (is_version_2(path)) return path;
    return std::nullopt;
}

std::optional<Cgroup> Cgroup::open_or_make(const std::string& path) {
    if (("/" + path + "/").find("/../") != std::string::npos)
        throw Error(ErrorKind::invalid, "linux.cgroupsPath: \"{}\" climbs out", path);
    const auto root = hierarchy();
    if (!root) return std::nullopt;
    std::string directory = *root;
    const std::string clean = clean_path(path);
    for (std::size_t at = 0; at < clean.size();) {
        const auto next = std::min(clean.find('/', at + 1), clean.size());
        enable_controllers(directory);
        directory += clean.substr(at, next - at);
        if (::mkdir(directory.c_str(), 0755) < 0 && errno != EEXIST) return std::nullopt;
        at = next;
    }
    if (::access((directory + "/cgroup.procs").c_str(), W_OK) < 0) return std::nullopt;
    return open(directory);
}

std::optional<Cgroup> Cgroup::open(const std::string& directory) {
    UniqueFd fd{::open(directory.c_str(), kDirectory)};
    if (!fd) return std::nullopt;
    return Cgroup(directory, std::move(fd));
}

bool Cgroup::write(const std::string& file, std::string_view text) const {
    if (file.find('/') != std::string::npos)
        throw Error(ErrorKind::invalid, "cgroup file \"{}\" has a slash", file);
    const UniqueFd fd{::openat(fd_.get(), file.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd && errno == ENOENT) return false;
    if (!fd || ::write(fd.get(), text.data(), text.size()) < 0)
        throw_errno("writing \"{}\" to {}/{}", text, directory_, file);
    return true;
}

std::string Cgroup::read(const std::string& file) const {
    const UniqueFd fd{::openat(fd_.get(), file.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) throw_errno("opening {}/{}", directory_, file);
    return read_all(fd);
}

bool Cgroup::frozen() const { return read("cgroup.events").find("frozen 1") != std::string::npos; }

void Cgroup::freeze() const {
    const UniqueFd events{::openat(fd_.get(), "cgroup.events", O_RDONLY | O_CLOEXEC)};
    if (!events) throw_errno("opening {}/cgroup.events", directory_);
    write("cgroup.freeze", "1");
    if (!waits_until_frozen(events, *this))
        throw Error(ErrorKind::internal, "cgroup {} does not freeze", directory_);
}

void Cgroup::thaw() const { write("cgroup.freeze", "0"); }

void Cgroup::kill_all() const { write("cgroup.kill", "1"); }

void Cgroup::remove() const {
    // Depth first; rmdir is the only way that a cgroup goes.
    std::vector<std::string> directories{directory_};
    std::error_code ignored;
    using Walk = std::filesystem::recursive_directory_iterator;
    for (Walk at(directory_, ignored), end; at != end; at.increment(ignored))
        if (at->is_directory(ignored)) directories.push_back(at->path());
    for (auto at = directories.rbegin(); at != directories.rend(); ++at) ::rmdir(at->c_str());
}

}  // namespace berth::linux_os
