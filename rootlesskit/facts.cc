// Gathers what preflight.h judges.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "linux/filesystem.h"
#include "linux/spawn.h"
#include "rootlesskit/preflight.h"

namespace berth::rootlesskit {
namespace {

// Read by hand: getpwuid of a static glibc would need the NSS modules at run time.
std::string name_of(uid_t uid, const std::string& passwd) {
    const std::string wanted = fmt::format(":{}:", uid);
    std::size_t begin = 0;
    while (begin < passwd.size()) {
        const auto end = std::min(passwd.find('\n', begin), passwd.size());
        const std::string_view line(passwd.data() + begin, end - begin);
        begin = end + 1;
        const auto name_end = line.find(':');
        if (name_end == std::string_view::npos) continue;
        const auto password_end = line.find(':', name_end + 1);
        if (password_end == std::string_view::npos) continue;
        if (line.substr(password_end).starts_with(wanted))
            return std::string(line.substr(0, name_end));
    }
    return "";
}

Privilege privilege_of(const std::string& path) {
    struct stat found {};
    if (::stat(path.c_str(), &found) < 0) return Privilege::none;
    const bool setuid = (found.st_mode & S_ISUID) != 0 && found.st_uid == 0;
    if (!setuid && ::getxattr(path.c_str(), "security.capability", nullptr, 0) <= 0)
        return Privilege::none;
    struct statvfs volume {};
    if (::statvfs(path.c_str(), &volume) == 0 && (volume.f_flag & ST_NOSUID) != 0)
        return Privilege::nosuid_mount;
    return Privilege::full;
}

MapProgram map_program(const std::string& name) {
    MapProgram program{linux_os::find_program(name), Privilege::none, ""};
    if (!program.path.empty()) program.privilege = privilege_of(program.path);
    if (program.privilege == Privilege::nosuid_mount)
        program.mount_point = linux_os::mount_point_of(program.path);
    return program;
}

// Ids that a directory service hands out are in no file.
std::vector<IdRange> ask_getsubids(const Facts& facts, const std::vector<std::string>& options) {
    const std::string program = linux_os::find_program("getsubids");
    if (program.empty()) return {};
    Pipe pipe = Pipe::make();
    linux_os::SpawnRequest request;
    request.program = program;
    request.arguments = {program};
    request.arguments.insert(request.arguments.end(), options.begin(), options.end());
    request.arguments.push_back(facts.user.empty() ? std::to_string(facts.uid) : facts.user);
    request.fds = {{pipe.write, STDOUT_FILENO}};
    const linux_os::PidFd process = linux_os::spawn(request);
    pipe.write.reset();
    const std::string text = read_all(pipe.read);
    (void)process.reap();
    return parse_getsubids(text);
}

int open_error(const char* path) {
    const UniqueFd fd{::open(path, O_RDWR | O_CLOEXEC)};
    return fd ? 0 : errno;
}

bool is_host_root(uid_t uid, const HostFiles& files) {
    if (uid != 0) return false;
    std::string map;
    for (const char c : files.text("/proc/self/uid_map"))
        if (c != ' ' || (!map.empty() && map.back() != ' ')) map += c;
    return map.starts_with("0 0 4294967295");
}

void read_ranges(Facts& facts, const HostFiles& files) {
    const std::string subuid = files.text("/etc/subuid");
    const std::string subgid = files.text("/etc/subgid");
    facts.uids = parse_subordinate_ids(subuid, facts.user, facts.uid);
    facts.gids = parse_subordinate_ids(subgid, facts.user, facts.uid);
    if (facts.uids.empty()) facts.uids = ask_getsubids(facts, {});
    if (facts.gids.empty()) facts.gids = ask_getsubids(facts, {"-g"});
    facts.uid_overlap = find_overlap(subuid, facts.user, facts.uid);
    facts.gid_overlap = find_overlap(subgid, facts.user, facts.uid);
    facts.free_range = std::max(first_free_range(subuid), first_free_range(subgid));
}

}  // namespace

Facts gather_facts(const HostFiles& files) {
    Facts facts;
    facts.uid = ::getuid();
    facts.gid = ::getgid();
    facts.host_root = is_host_root(facts.uid, files);
    if (facts.host_root) return facts;
    facts.user = name_of(facts.uid, files.text("/etc/passwd"));
    facts.local_user = !facts.user.empty();
    if (facts.user.empty())
        if (const char* user = ::secure_getenv("USER")) facts.user = user;
    read_ranges(facts, files);
    facts.newuidmap = map_program("newuidmap");
    facts.newgidmap = map_program("newgidmap");
    facts.os_release = files.text("/etc/os-release");
    facts.unprivileged_userns_clone = files.kernel_switch("kernel/unprivileged_userns_clone");
    facts.max_user_namespaces = files.kernel_switch("user/max_user_namespaces");
    facts.apparmor_restrict = files.kernel_switch("kernel/apparmor_restrict_unprivileged_userns");
    facts.no_new_privileges = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    facts.tun_errno = open_error("/dev/net/tun");
    return facts;
}

}  // namespace berth::rootlesskit
