// What busybox lacks, for the inside of test containers. Static, put into images by the system
// tests.
//   test_tool udp-echo PORT     answers every datagram with itself; says "ready" when bound
//   test_tool who PORT          tells every client of TCP and UDP, both families, how it looks from
//                               here ("ADDRESS PORT") and prints that; says "ready" when bound
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

int udp_echo(int port) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_port = htons(static_cast<std::uint16_t>(port));
    if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof own) < 0) return 1;
    std::puts("ready");
    std::fflush(stdout);
    char buffer[65536];
    for (;;) {
        sockaddr_in peer{};
        socklen_t length = sizeof peer;
        const ssize_t count =
            ::recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &length);
        if (count < 0) return 1;
        ::sendto(fd, buffer, static_cast<std::size_t>(count), 0,
                 reinterpret_cast<const sockaddr*>(&peer), length);
    }
}

int dual_stack_socket(int type, int port) {
    const int fd = ::socket(AF_INET6, type, 0);
    const int off = 0, on = 1;
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in6 own{};
    own.sin6_family = AF_INET6;
    own.sin6_port = htons(static_cast<std::uint16_t>(port));
    return ::bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof own) < 0 ? -1 : fd;
}

void tell(int fd, const sockaddr_in6& peer, socklen_t length) {
    char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 8];
    ::inet_ntop(AF_INET6, &peer.sin6_addr, address, sizeof address);
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr);
    const int size = std::snprintf(text, sizeof text, "%s %d\n", address + (mapped ? 7 : 0),
                                   ntohs(peer.sin6_port));
    std::fputs(text, stdout);
    std::fflush(stdout);
    ::sendto(fd, text, static_cast<std::size_t>(size), MSG_NOSIGNAL,
             length > 0 ? reinterpret_cast<const sockaddr*>(&peer) : nullptr, length);
}

int who(int port) {
    const int tcp = dual_stack_socket(SOCK_STREAM, port), udp = dual_stack_socket(SOCK_DGRAM, port);
    if (tcp < 0 || udp < 0 || ::listen(tcp, 128) < 0) return 1;
    std::puts("ready");
    std::fflush(stdout);
    for (;;) {
        pollfd both[] = {{tcp, POLLIN, 0}, {udp, POLLIN, 0}};
        if (::poll(both, 2, -1) < 0) return 1;
        sockaddr_in6 peer{};
        socklen_t length = sizeof peer;
        char byte;
        if (both[1].revents != 0 &&
            ::recvfrom(udp, &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &length) >= 0)
            tell(udp, peer, length);
        if (both[0].revents == 0) continue;
        const int client = ::accept(tcp, reinterpret_cast<sockaddr*>(&peer), &length);
        if (client < 0) continue;
        tell(client, peer, 0);
        ::close(client);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "udp-echo") == 0) return udp_echo(std::atoi(argv[2]));
    if (argc == 3 && std::strcmp(argv[1], "who") == 0) return who(std::atoi(argv[2]));
    std::fputs("usage: test_tool udp-echo|who PORT\n", stderr);
    return 2;
}
