#include "linux/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
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
    for (const std::string_view name :
         {"+cpu", "+cpuset", "+io", "+memory", "+pids", "+hugetlb", "+rdma"})
        if (::write(file.get(), name.data(), name.size()) < 0) continue;
}

/// Every directory from below `root` down to the parent of `directory`.
std::vector<std::string> parents_of(const std::string& directory, const std::string& root) {
    std::vector<std::string> parents{root};
    for (auto at = directory.find('/', root.size() + 1); at != std::string::npos;
         at = directory.find('/', at + 1))
        parents.push_back(directory.substr(0, at));
    return parents;
}

bool make_directory(const std::string& path) {
    return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
}

/// Waits until cgroup.events has the line; false at the deadline. poll() compares with what was
/// last read by the same descriptor.
bool wait_event(BorrowedFd events, std::string_view line, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        char text[256];
        const ssize_t size = ::pread(events.get(), text, sizeof text, 0);
        if (size < 0) return errno == ENODEV;  // it was removed
        if (std::string_view(text, static_cast<std::size_t>(size)).find(line) !=
            std::string_view::npos)
            return true;
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return false;
        pollfd poller{events.get(), POLLPRI, 0};
        ::poll(&poller, 1, static_cast<int>(left.count()));
    }
}

UniqueFd open_events(const Cgroup& cgroup) {
    return UniqueFd{::openat(cgroup.fd().get(), "cgroup.events", O_RDONLY | O_CLOEXEC)};
}

// Depth first; rmdir is the only way that a cgroup goes.
void remove_below(const std::string& directory) {
    std::vector<std::string> directories;
    std::error_code ignored;
    using Walk = std::filesystem::recursive_directory_iterator;
    for (Walk at(directory, ignored), end; at != end; at.increment(ignored))
        if (at->is_directory(ignored)) directories.push_back(at->path());
    for (auto at = directories.rbegin(); at != directories.rend(); ++at) ::rmdir(at->c_str());
}

}  // namespace

std::optional<std::string> Cgroup::hierarchy() {
    for (const char* path : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
        if (is_version_2(path)) return path;
    return std::nullopt;
}

std::optional<Cgroup> Cgroup::make(const std::string& path) {
    if (climbs_out(path))
        throw Error(ErrorKind::invalid, "linux.cgroupsPath: \"{}\" climbs out", path);
    const auto root = hierarchy();
    if (!root) return std::nullopt;
    const std::string directory = *root + clean_path(path);
    if (::mkdir(directory.c_str(), 0755) == 0) return open(directory);
    if (errno == EEXIST) {
        // Empty: left by somebody who was killed, with limits of its own. In use: shared.
        ::rmdir(directory.c_str());
    } else if (errno == ENOENT) {
        for (const std::string& parent : parents_of(directory, *root)) {
            if (parent != *root && !make_directory(parent)) break;
            enable_controllers(parent);
        }
    }
    return make_directory(directory) ? open(directory) : std::nullopt;
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

void Cgroup::apply(const std::vector<CgroupWrite>& writes) const {
    std::vector<std::string> written;
    bool enabled = false;
    for (const CgroupWrite& one : writes) {
        if (std::ranges::find(written, one.second_to) != written.end()) continue;
        bool there = write(one.file, one.text);
        if (!there && one.absent == CgroupWrite::Absent::refused && !enabled) {
            // Not on the way of every start: a delegated parent has them enabled.
            for (const std::string& parent : parents_of(directory_, hierarchy().value_or("")))
                enable_controllers(parent);
            enabled = true;
            there = write(one.file, one.text);
        }
        if (there) written.push_back(one.file);
        if (!there && one.absent == CgroupWrite::Absent::refused)
            throw Error(ErrorKind::unavailable,
                        "cgroup {} has no {}: the {} controller is not delegated", directory_,
                        one.file, one.file.substr(0, one.file.find('.')));
    }
}

std::string Cgroup::read(const std::string& file) const {
    const UniqueFd fd{::openat(fd_.get(), file.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) throw_errno("opening {}/{}", directory_, file);
    return read_all(fd);
}

bool Cgroup::frozen() const { return read("cgroup.events").find("frozen 1") != std::string::npos; }

void Cgroup::freeze() const {
    const UniqueFd events = open_events(*this);
    if (!events) throw_errno("opening {}/cgroup.events", directory_);
    write("cgroup.freeze", "1");
    if (wait_event(events, "frozen 1", std::chrono::seconds(10))) return;
    thaw();
    throw Error(ErrorKind::internal, "cgroup {} does not freeze", directory_);
}

void Cgroup::thaw() const { write("cgroup.freeze", "0"); }

void Cgroup::kill_all() const { write("cgroup.kill", "1"); }

void Cgroup::remove(std::chrono::milliseconds patience) const {
    if (::rmdir(directory_.c_str()) == 0 || errno == ENOENT) return;
    const UniqueFd events = open_events(*this);
    if (!events) return;  // it went meanwhile
    if (!wait_event(events, "populated 0", std::chrono::milliseconds(0))) {
        kill_all();
        wait_event(events, "populated 0", patience);
    }
    remove_below(directory_);
    ::rmdir(directory_.c_str());
}

}  // namespace berth::linux_os
