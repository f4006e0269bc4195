// What busybox lacks, for the inside of test containers. Static, put into images by the system
// tests.
//   test_tool udp-echo PORT     answers every datagram with itself; says "ready" when bound
#include <arpa/inet.h>
#include <netinet/in.h>
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

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "udp-echo") == 0) return udp_echo(std::atoi(argv[2]));
    std::fputs("usage: test_tool udp-echo PORT\n", stderr);
    return 2;
}
