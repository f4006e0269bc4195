#include "daemon/listeners.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/number.h"
#include "base/text.h"
#include "linux/socket_address.h"

namespace berth::daemon {
namespace {

UniqueFd make_socket(int family) {
    UniqueFd fd{::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!fd) throw_errno("making a socket");
    return fd;
}

// A socket file without a listener is left over from a crash; one that answers is somebody's, and
// so is whatever is no socket (connect() refuses it in the same way).
void remove_stale(const sockaddr_un& address, const std::string& host) {
    struct stat found {};
    if (::stat(address.sun_path, &found) == 0 && !S_ISSOCK(found.st_mode))
        throw Error(ErrorKind::conflict,
                    "{} exists and is no socket: remove it, or choose another path with --host",
                    host);
    const UniqueFd probe = make_socket(AF_UNIX);
    const int result = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
                                 static_cast<socklen_t>(sizeof address));
    if (result == 0)
        throw Error(ErrorKind::conflict,
                    "{} is served by another process: stop it (for example `systemctl --user stop "
                    "docker`), or choose another socket with --host",
                    host);
    if (errno == ECONNREFUSED) ::unlink(address.sun_path);
}

void give_to_group(const std::string& path, const std::string& group) {
    const std::string text = read_file_if_exists("/etc/group").value_or("");
    std::size_t begin = 0;
    while (begin < text.size()) {
        const auto end = std::min(text.find('\n', begin), text.size());
        const std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        if (!line.starts_with(group + ":")) continue;
        const auto number = line.find(':', group.size() + 1);
        if (number == std::string::npos) continue;
        const auto gid = static_cast<gid_t>(std::strtoul(line.c_str() + number + 1, nullptr, 10));
        if (::chown(path.c_str(), static_cast<uid_t>(-1), gid) == 0 &&
            ::chmod(path.c_str(), 0660) == 0)
            return;
        log::warn("giving {} to group {}: {}", path, group, errno_text(errno));
        return;
    }
    log::warn("giving {} to group {}: no such group", path, group);
}

Listener listen_unix(const std::string& host, const Config& config) {
    const std::string path = host.substr(std::string_view("unix://").size());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (!path.starts_with('/'))
        throw Error(ErrorKind::invalid, "{}: the path of the socket is not absolute", host);
    if (path.size() >= sizeof address.sun_path)
        throw Error(ErrorKind::invalid,
                    "{}: a socket path has at most {} bytes: choose a shorter one: "
                    "`berthd --host unix:///tmp/NAME.sock`",
                    host, sizeof address.sun_path - 1);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    make_directories(path.substr(0, path.rfind('/') + 1), 0700);
    remove_stale(address, host);
    UniqueFd fd = make_socket(AF_UNIX);
    const mode_t before = ::umask(0177);
    const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                             static_cast<socklen_t>(sizeof address));
    const int saved = errno;
    ::umask(before);
    if (bound < 0) throw Error::from_errno(saved, "binding " + host);
    if (::listen(fd.get(), SOMAXCONN) < 0) throw_errno("listening on {}", host);
    if (!config.group.empty()) give_to_group(path, config.group);
    return {host, std::move(fd), path};
}

// Numeric addresses only: a static program has no resolver.
linux_os::SocketAddress parse_tcp(const std::string& host) {
    constexpr std::uint16_t kDefaultPort = 2375;
    auto [name, digits] =
        split_host_port(std::string_view(host).substr(std::string_view("tcp://").size()));
    const auto port = digits.empty() ? kDefaultPort : whole_number<std::uint16_t>(digits);
    if (!port) throw Error(ErrorKind::invalid, "{}: invalid port", host);
    if (name.empty()) name = "0.0.0.0";
    if (name == "localhost") name = "127.0.0.1";
    const auto address = IpAddress::from(name);
    if (!address) throw Error(ErrorKind::invalid, "{}: '{}' is not an IP address", host, name);
    return {*address, *port};
}

Listener listen_tcp(const std::string& host) {
    const linux_os::SocketAddress address = parse_tcp(host);
    UniqueFd fd = make_socket(address.family());
    const int yes = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(fd.get(), address.get(), address.length()) < 0) throw_errno("binding {}", host);
    if (::listen(fd.get(), SOMAXCONN) < 0) throw_errno("listening on {}", host);
    return {host, std::move(fd), ""};
}

// The path that a unix socket is bound to; empty for any other socket.
std::string path_of(BorrowedFd socket) {
    sockaddr_un address{};
    socklen_t length = sizeof address;
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) < 0 ||
        address.sun_family != AF_UNIX || length <= offsetof(sockaddr_un, sun_path))
        return "";
    return {address.sun_path,
            ::strnlen(address.sun_path, length - offsetof(sockaddr_un, sun_path))};
}

// A socket unit listens at our own address already: served, never bound anew, never unlinked.
UniqueFd take_bound_to(const std::string& path, std::vector<UniqueFd>& inherited) {
    for (UniqueFd& fd : inherited)
        if (fd && path_of(fd) == path) return std::move(fd);
    return {};
}

}  // namespace

std::vector<Listener> open_listeners(const Config& config, std::vector<UniqueFd> inherited) {
    std::vector<Listener> listeners;
    const bool activated = !inherited.empty();
    for (const std::string& host : config.hosts) {
        if (host.starts_with("unix://")) {
            const std::string path = host.substr(std::string_view("unix://").size());
            if (UniqueFd fd = take_bound_to(path, inherited))
                listeners.push_back({host, std::move(fd), ""});
            else
                listeners.push_back(listen_unix(host, config));
        } else if (host.starts_with("tcp://")) {
            listeners.push_back(listen_tcp(host));
        } else if (!activated) {
            throw Error(ErrorKind::invalid,
                        "{}: no sockets found via socket activation: make sure the service was "
                        "started by systemd",
                        host);
        }
    }
    // Whatever the hosts say: clients of a socket that nobody serves would wait for ever.
    for (UniqueFd& fd : inherited) {
        if (!fd) continue;
        const std::string path = path_of(fd);
        listeners.push_back({path.empty() ? "fd://" : "unix://" + path, std::move(fd), ""});
    }
    return listeners;
}

}  // namespace berth::daemon
