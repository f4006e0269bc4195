// Judges the directories that berth uses: run-time, data, and what is left of the disk. Pure.
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "rootlesskit/host_facts.h"

namespace berth::rootlesskit {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;
constexpr std::uint64_t kFullBytes = 64 * kMiB;
constexpr std::uint64_t kLowBytes = 1024 * kMiB;
constexpr std::uint64_t kFullInodes = 1000;
constexpr std::uint64_t kLowInodes = 20'000;
constexpr std::size_t kLongestSocketPath = 107;

// Those whose server or driver refuses files of subordinate ids.
constexpr std::array<std::string_view, 14> kForeign{"nfs",    "smb",    "cifs", "smb2",    "afs",
                                                    "9p",     "vboxsf", "vfat", "exfat",   "gpfs",
                                                    "lustre", "ntfs3",  "ceph", "ecryptfs"};

std::string mount_point_of(const DirectoryFacts& directory) {
    return shell_word(directory.filesystem.mount_point);
}

std::string give_command(const Facts& start, const std::string& path) {
    return fmt::format("sudo install -d -m 700 -o {} -g {} {}", start.uid, start.gid,
                       shell_word(path));
}

Finding without_variable(const HostFacts& facts) {
    const std::string user =
        facts.start.user.empty() ? std::to_string(facts.start.uid) : shell_word(facts.start.user);
    if (facts.runtime.fallback.starts_with("/tmp/"))
        return trouble(State::degraded, "runtime-directory",
                       fmt::format("XDG_RUNTIME_DIR is not set and there is no /run/user/{}: {} is "
                                   "used, and it is not removed at logout",
                                   facts.start.uid, facts.runtime.fallback),
                       {fmt::format("sudo loginctl enable-linger {}", user),
                        fmt::format("export XDG_RUNTIME_DIR=/run/user/{}", facts.start.uid)});
    return trouble(State::degraded, "runtime-directory",
                   fmt::format("XDG_RUNTIME_DIR is not set: {} is used, but docker clients and "
                               "systemctl --user need the variable",
                               facts.runtime.fallback),
                   {"export XDG_RUNTIME_DIR=" + facts.runtime.fallback});
}

std::string size_text(std::uint64_t bytes) { return fmt::format("{} MiB", bytes / kMiB); }

std::vector<std::string> make_room(const DirectoryFacts& data) {
    // A tmpfs is as large as somebody said; elsewhere unused images go first.
    if (data.filesystem.name == "tmpfs")
        return {fmt::format("sudo mount -o remount,size=8G,nr_inodes=1M {}", mount_point_of(data))};
    return {"docker system prune --all"};
}

}  // namespace

Finding check_runtime_directory(const HostFacts& facts) {
    const std::string name = "runtime-directory";
    const auto& variable = facts.runtime.variable;
    const DirectoryFacts& directory = facts.runtime.directory;
    if (!variable || variable->empty()) return without_variable(facts);
    if (!variable->starts_with('/'))
        return trouble(State::broken, name,
                       fmt::format("XDG_RUNTIME_DIR is '{}', not an absolute path", *variable),
                       {"unset XDG_RUNTIME_DIR"});
    const std::string path = shell_word(*variable);
    if (!directory.exists())
        return trouble(State::broken, name,
                       fmt::format("{} (XDG_RUNTIME_DIR) does not exist", path),
                       {give_command(facts.start, *variable)});
    if (!directory.is_directory)
        return trouble(State::broken, name,
                       fmt::format("{} (XDG_RUNTIME_DIR) is not a directory", path),
                       {"sudo rm " + path, give_command(facts.start, *variable)});
    if (directory.owner != facts.start.uid)
        return trouble(State::broken, name,
                       fmt::format("{} (XDG_RUNTIME_DIR) belongs to user {}, not to {}: it was "
                                   "kept from another user's session",
                                   path, directory.owner, facts.start.uid),
                       {fmt::format("export XDG_RUNTIME_DIR=/run/user/{}", facts.start.uid),
                        give_command(facts.start, fmt::format("/run/user/{}", facts.start.uid))});
    if ((directory.mode & 0700) != 0700)
        return fixable(State::broken, name,
                       fmt::format("{} (XDG_RUNTIME_DIR) has mode {:04o}: its owner cannot use it",
                                   path, directory.mode),
                       {"chmod 700 " + path});
    if (!directory.writable || directory.filesystem.read_only)
        return trouble(State::broken, name,
                       fmt::format("{} (XDG_RUNTIME_DIR) cannot be written", path),
                       {"sudo mount -o remount,rw " + mount_point_of(directory)});
    if ((directory.mode & 077) != 0)
        return fixable(State::degraded, name,
                       fmt::format("{} (XDG_RUNTIME_DIR) has mode {:04o}: others may enter it",
                                   path, directory.mode),
                       {"chmod 700 " + path});
    if (variable->size() + std::string_view("/docker.sock").size() > kLongestSocketPath)
        return trouble(State::broken, name,
                       fmt::format("{} is too long: a socket path has at most {} bytes", path,
                                   kLongestSocketPath),
                       {fmt::format("export XDG_RUNTIME_DIR=/run/user/{}", facts.start.uid)});
    return fine(name, path);
}

Finding check_data_directory(const HostFacts& facts) {
    const std::string name = "data-directory";
    const DirectoryFacts& data = facts.data;
    const std::string path = shell_word(data.path);
    const std::string& type = data.filesystem.name;
    const std::string elsewhere = fmt::format("/var/tmp/berth-{}", facts.start.uid);
    if (data.error != 0 || !data.is_directory)
        return trouble(State::broken, name,
                       fmt::format("{}: {}", shell_word(data.nearest),
                                   data.error != 0 ? errno_text(data.error) : "not a directory"),
                       {give_command(facts.start, data.path)});
    if (data.filesystem.read_only)
        return trouble(State::broken, name,
                       fmt::format("{} is on a file system mounted read-only", path),
                       {"sudo mount -o remount,rw " + mount_point_of(data)});
    if (!data.writable && data.owner == facts.start.uid)
        return fixable(State::broken, name,
                       fmt::format("{} cannot be written: its mode is {:04o}",
                                   shell_word(data.nearest), data.mode),
                       {"chmod u+rwx " + shell_word(data.nearest)});
    if (!data.writable)
        return trouble(State::broken, name,
                       fmt::format("{} cannot be written: it belongs to user {}",
                                   shell_word(data.nearest), data.owner),
                       {data.exists() ? fmt::format("sudo chown {}:{} {}", facts.start.uid,
                                                    facts.start.gid, path)
                                      : give_command(facts.start, data.path)});
    if (std::find(kForeign.begin(), kForeign.end(), type) != kForeign.end())
        return trouble(
            State::broken, name,
            fmt::format("{} is on {}, which refuses files of subordinate ids or their "
                        "attributes: images cannot be unpacked there; keep the data on "
                        "a local disk",
                        path, type),
            {"mkdir -p ~/.config/berth",
             // A configuration that is there already stays: the shell refuses to write over it.
             fmt::format("(set -C; echo '{{\"data-root\": \"{}\"}}' > ~/.config/berth/daemon.json)",
                         elsewhere),
             "systemctl --user restart berth"});
    if (data.filesystem.noexec)
        return trouble(State::degraded, name,
                       fmt::format("{} is on a file system mounted noexec: programs in volumes "
                                   "cannot be executed",
                                   path),
                       {"sudo mount -o remount,exec " + mount_point_of(data)});
    return fine(name, fmt::format("{} on {}", path, type));
}

Finding check_disk_space(const HostFacts& facts) {
    const std::string name = "disk-space";
    const linux_os::FilesystemFacts& disk = facts.data.filesystem;
    if (facts.data.error != 0 || disk.name.empty()) return fine(name, "not known");
    const std::uint64_t bytes = std::min(disk.free_bytes, disk.quota_bytes.value_or(UINT64_MAX));
    const bool by_quota = bytes < disk.free_bytes;
    const std::string where = fmt::format("{}{}", shell_word(facts.data.nearest),
                                          by_quota ? " by the user's disk quota" : "");
    if (bytes < kLowBytes)
        return trouble(bytes < kFullBytes ? State::broken : State::degraded, name,
                       fmt::format("{} are left in {}", size_text(bytes), where),
                       make_room(facts.data));
    if (disk.inodes != 0 && disk.free_inodes < kLowInodes)
        return trouble(disk.free_inodes < kFullInodes ? State::broken : State::degraded, name,
                       fmt::format("{} inodes (files) are left in {}", disk.free_inodes, where),
                       make_room(facts.data));
    return fine(name, fmt::format("{} are left in {}", size_text(bytes), where));
}

}  // namespace berth::rootlesskit
