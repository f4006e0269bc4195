#include "net/port_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "linux/socket_address.h"

namespace berth::net {
namespace {

constexpr int kBacklog = 4096;
constexpr std::uint16_t kFirstUnprivileged = 1024;

enum class V6 { required, optional };

void set_reuse(BorrowedFd socket, int value) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &value, sizeof value);
}

// TCP: not listening yet. Without errors of its own, but errno.
UniqueFd bound_socket(Transport transport, const linux_os::SocketAddress& address) {
    const bool stream = transport == Transport::tcp;
    UniqueFd fd{::socket(address.family(),
                         (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd) return fd;
    const int on = 1;
    // Connections that linger in TIME_WAIT must not keep a restarted container from its port.
    if (stream) set_reuse(fd, on);
    if (address.family() == AF_INET6)
        ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (::bind(fd.get(), address.get(), address.length()) == 0 &&
        (!stream || ::listen(fd.get(), kBacklog) == 0))
        return fd;
    const int saved = errno;
    fd.reset();
    errno = saved;
    return fd;
}

[[noreturn]] void throw_bind_error(int saved, const IpAddress& address, std::uint16_t port,
                                   const PortBinding& binding) {
    const std::string what = "failed to bind host port for " + binding_text(address, port, binding);
    if (saved == EACCES && port < kFirstUnprivileged)
        throw Error::with_text(
            ErrorKind::internal,
            fmt::format("{}: permission denied: cannot expose privileged port {} without root; "
                        "run `sudo sysctl -w net.ipv4.ip_unprivileged_port_start={}`, or choose "
                        "a host port of {} or above",
                        what, port, port, kFirstUnprivileged),
            saved);
    throw Error::with_text(ErrorKind::internal, Error::from_errno(saved, what).message(), saved);
}

UniqueFd bind_socket(const IpAddress& address, std::uint16_t port, const PortBinding& binding) {
    UniqueFd fd = bound_socket(binding.transport, linux_os::SocketAddress{address, port});
    if (!fd) throw_bind_error(errno, address, port, binding);
    if (binding.transport == Transport::tcp) stop_listening(fd);
    return fd;
}

bool is_family_missing(const Error& error) {
    return error.errno_value() == EAFNOSUPPORT || error.errno_value() == EADDRNOTAVAIL;
}

// One number on all addresses, or an error.
std::vector<ReservedPort> try_port(const PortTable& table, const PortBinding& binding,
                                   std::uint16_t port, V6 v6) {
    std::vector<ReservedPort> reserved;
    for (const IpAddress& address : host_addresses(binding)) {
        const HostPort host{binding.transport, address, port};
        table.check_free(host);
        UniqueFd socket;
        try {
            socket = bind_socket(address, port, binding);
        } catch (const Error& error) {
            if (v6 == V6::optional && address.family == IpFamily::v6 && is_family_missing(error))
                continue;
            throw;
        }
        PortBinding bound = binding;
        bound.host_ip = address.str();
        bound.host_port = port;
        bound.host_port_end = 0;
        reserved.push_back(
            {bound, host,
             HostSocket{binding.transport, std::move(socket),
                        linux_os::SocketAddress{address, port}, target_of(binding, address.family),
                        binding.container_port}});
    }
    return reserved;
}

void check_binding(const PortBinding& binding) {
    if (binding.transport == Transport::sctp)
        throw Error(ErrorKind::unsupported,
                    "publishing sctp port {} is not supported: a rootless engine relays tcp and "
                    "udp only",
                    binding.container_port);
    if (binding.container_port == 0) throw Error(ErrorKind::invalid, "invalid container port 0");
}

std::vector<ReservedPort> reserve_one(PortTable& table, const PortBinding& binding) {
    check_binding(binding);
    const std::vector<std::uint16_t> candidates = table.candidates(binding);
    const V6 v6 = binding.host_ip.empty() ? V6::optional : V6::required;
    if (candidates.size() == 1) return try_port(table, binding, candidates.front(), v6);
    for (const std::uint16_t port : candidates) {
        const HostPort first{binding.transport, host_addresses(binding).front(), port};
        if (table.is_taken(first)) continue;
        try {
            std::vector<ReservedPort> reserved = try_port(table, binding, port, v6);
            if (binding.host_port == 0) table.advance_past(port);
            return reserved;
        } catch (const Error& error) {
            const bool busy = error.errno_value() == EADDRINUSE || error.errno_value() == 0;
            if (!busy) throw;
        }
    }
    throw Error(ErrorKind::internal, "all ports are allocated");
}

}  // namespace

IpAddress target_of(const PortBinding& binding, IpFamily client) {
    const std::string& v6 = binding.container_ip_v6;
    const bool to_v6 = binding.container_ip.empty() || (client == IpFamily::v6 && !v6.empty());
    return IpAddress::parse(to_v6 ? v6 : binding.container_ip);
}

void start_listening(BorrowedFd socket) {
    set_reuse(socket, 1);
    if (::listen(socket.get(), kBacklog) < 0) throw_errno("listening");
}

void stop_listening(BorrowedFd socket) {
    // Without "reuse" nobody else may bind to the port while it does not listen, so that goes
    // first. Connections that begin in between are in the queue and end with it: none is left that
    // inherited the setting and would stand in the way of listening again.
    set_reuse(socket, 0);
    if (::shutdown(socket.get(), SHUT_RD) < 0 && errno != ENOTCONN) throw_errno("closing");
}

HostSocket gateway_twin(const HostSocket& original) {
    UniqueFd socket = bound_socket(original.transport, original.host);
    if (!socket) throw_errno("binding port {} for containers", original.host.port());
    // Of UDP clients that use the same port as they ask; sockets in their names are bound to it.
    set_reuse(socket, 1);
    if (original.transport == Transport::tcp) stop_listening(socket);
    return {original.transport,         std::move(socket),       original.host,
            original.container_address, original.container_port, HostSocket::Clients::containers};
}

std::vector<ReservedPort> reserve_ports(PortTable& table,
                                        const std::vector<PortBinding>& bindings) {
    std::vector<ReservedPort> all;
    try {
        for (const PortBinding& binding : bindings) {
            std::vector<ReservedPort> reserved = reserve_one(table, binding);
            for (const ReservedPort& port : reserved) table.take(port.host);
            std::ranges::move(reserved, std::back_inserter(all));
        }
    } catch (...) {
        for (const ReservedPort& port : all) table.release(port.host);
        throw;
    }
    return all;
}

}  // namespace berth::net
