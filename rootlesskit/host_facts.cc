#include "rootlesskit/host_facts.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "base/error.h"
#include "linux/socket_address.h"
#include "rootlesskit/runtime_directory.h"

namespace berth::rootlesskit {
namespace {

constexpr int kResolverPatienceMs = 1000;

DirectoryFacts read_directory(const std::string& path) {
    DirectoryFacts facts;
    facts.path = facts.nearest = path;
    struct stat found {};
    while (::stat(facts.nearest.c_str(), &found) < 0) {
        facts.error = errno;
        const auto slash = facts.nearest.rfind('/');
        if (facts.error != ENOENT || slash == std::string::npos || facts.nearest == "/")
            return facts;
        facts.nearest.resize(slash == 0 ? 1 : slash);
    }
    facts.error = 0;
    facts.is_directory = S_ISDIR(found.st_mode);
    facts.owner = found.st_uid;
    facts.mode = found.st_mode & 07777;
    facts.writable = ::access(facts.nearest.c_str(), W_OK | X_OK) == 0;
    try {
        if (facts.is_directory) facts.filesystem = linux_os::examine_filesystem(facts.nearest);
    } catch (const Error& error) {
        facts.error = error.errno_value();
    }
    return facts;
}

// Called with nonsense: a kernel that has it complains of the nonsense.
std::vector<std::string> missing_system_calls() {
    struct Wanted final {
        const char* name;
        long number;
    };
    constexpr std::array<Wanted, 8> kWanted{{{"open_tree", 428},
                                             {"move_mount", 429},
                                             {"fsopen", 430},
                                             {"fsmount", 432},
                                             {"pidfd_open", 434},
                                             {"clone3", 435},
                                             {"close_range", 436},
                                             {"openat2", 437}}};
    std::vector<std::string> missing;
    for (const Wanted& call : kWanted)
        if (::syscall(call.number, -1, nullptr, -1, -1, -1, -1) < 0 && errno == ENOSYS)
            missing.emplace_back(call.name);
    return missing;
}

KernelFacts read_kernel(const HostFiles& files) {
    KernelFacts facts;
    struct utsname name {};
    ::uname(&name);
    facts.release = name.release;
    facts.missing = missing_system_calls();
    facts.inotify_instances = files.kernel_switch("user/max_inotify_instances");
    facts.inotify_watches = files.kernel_switch("user/max_inotify_watches");
    facts.keys = files.kernel_switch("kernel/keys/maxkeys");
    return facts;
}

// The kernel takes no range with ids that the user namespace does not know.
std::int64_t last_group(const HostFiles& files, std::int64_t most) {
    std::istringstream map(files.text("/proc/self/gid_map"));
    std::int64_t next = 0, inside = 0, outside = 0, count = 0;
    while (map >> inside >> outside >> count && inside == next) next += count;
    return next == 0 ? most : std::min(most, next - 1);
}

bool has_default_route(const HostFiles& files) {
    std::istringstream v4(files.text("/proc/net/route"));
    std::string name, destination;
    for (std::string line; std::getline(v4, line);) {
        std::istringstream words(line);
        if (words >> name >> destination && destination == "00000000") return true;
    }
    // The last column names the interface; the kernel keeps a rejecting default route on lo.
    std::istringstream v6(files.text("/proc/net/ipv6_route"));
    for (std::string line; std::getline(v6, line);)
        if (line.starts_with(std::string(32, '0') + " 00 ") && !line.ends_with(" lo")) return true;
    return false;
}

ResolverFacts read_resolver(const HostFiles& files) {
    ResolverFacts facts;
    facts.present = files.has("/etc/resolv.conf");
    std::istringstream lines(files.text("/etc/resolv.conf"));
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string key, value;
        if (words >> key >> value && key == "nameserver") facts.servers.push_back(value);
    }
    for (const char* path :
         {"/run/systemd/resolve/stub-resolv.conf", "/run/systemd/resolve/resolv.conf"})
        if (facts.other_file.empty() && files.has(path)) facts.other_file = path;
    return facts;
}

// One question (the name servers of the root); any answer will do.
bool answers(const std::string& server) {
    constexpr std::uint16_t kPort = 53;
    const auto ip = IpAddress::from(server);
    if (!ip) return false;
    const linux_os::SocketAddress address(*ip, kPort);
    const UniqueFd fd{::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    constexpr std::string_view kQuestion(
        "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01", 17);
    if (!fd || ::connect(fd.get(), address.get(), address.length()) < 0 ||
        ::send(fd.get(), kQuestion.data(), kQuestion.size(), MSG_NOSIGNAL) < 0)
        return false;
    pollfd watched{fd.get(), POLLIN, 0};
    std::array<char, 512> reply{};
    return ::poll(&watched, 1, kResolverPatienceMs) == 1 &&
           ::recv(fd.get(), reply.data(), reply.size(), MSG_DONTWAIT) > 0;
}

bool is_loopback(const std::string& address) {
    return address.starts_with("127.") || address == "::1";
}

}  // namespace

std::vector<std::string> silent_servers(const std::vector<std::string>& servers) {
    std::vector<std::string> silent;
    for (const std::string& server : servers)
        if (is_loopback(server) && !answers(server)) silent.push_back(server);
    return silent;
}

NetworkFacts read_network(const HostFiles& files) {
    NetworkFacts facts;
    facts.first_port = files.kernel_switch("net/ipv4/ip_unprivileged_port_start");
    std::istringstream range(files.text("/proc/sys/net/ipv4/ping_group_range"));
    std::pair<std::int64_t, std::int64_t> groups;
    if (range >> groups.first >> groups.second) facts.ping_groups = groups;
    facts.last_group = last_group(files, facts.last_group);
    facts.default_route = has_default_route(files);
    facts.resolver = read_resolver(files);
    return facts;
}

ContainerFacts read_container(const HostFiles& files) {
    ContainerFacts facts;
    if (files.has("/.dockerenv")) facts.kind = "docker";
    if (files.has("/run/.containerenv")) facts.kind = "podman";
    std::istringstream manager(files.text("/run/systemd/container"));
    if (std::string kind; facts.kind.empty() && manager >> kind) facts.kind = kind;
    if (facts.kind.empty() && files.has("/dev/lxd")) facts.kind = "lxc";
    facts.filtered = files.text("/proc/self/status").find("\nSeccomp:\t2") != std::string::npos;
    return facts;
}

HostFacts gather_host_facts(const HostPlaces& places, const HostFiles& files) {
    HostFacts facts;
    facts.start = gather_facts(files);
    if (facts.start.host_root) return facts;
    facts.runtime.variable = places.runtime_variable;
    facts.runtime.fallback = default_runtime_path(facts.start.uid);
    if (places.runtime_variable && places.runtime_variable->starts_with('/'))
        facts.runtime.directory = read_directory(*places.runtime_variable);
    facts.data = read_directory(places.data_directory);
    facts.kernel = read_kernel(files);
    facts.network = read_network(files);
    facts.network.resolver.silent = silent_servers(facts.network.resolver.servers);
    facts.container = read_container(files);
    facts.probes = try_host(facts.start, facts.data);
    return facts;
}

}  // namespace berth::rootlesskit
