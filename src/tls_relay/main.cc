// berth-tls-relay ADDRESS PORT NAME verify|trust CA CERTIFICATE KEY: carries what comes on
// descriptor 3 to a service behind TLS, so that OpenSSL is in no process that every container has.
// Empty files are none. Says on descriptor 3 how the connection went: an empty line, or one with
// what is wrong. Ends with either side.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "tls_relay/tls_connection.h"

namespace {

using namespace berth;
using namespace std::chrono_literals;

constexpr int kSourceFd = 3;
constexpr std::chrono::seconds kPatienceToConnect{10};
/// For what is left when nobody writes any more.
constexpr std::chrono::milliseconds kPatienceAtTheEnd{2000};

tls_relay::Target target_from(char** argv) {
    tls_relay::Target target{argv[1], 0,       argv[3], std::strcmp(argv[4], "trust") != 0,
                             argv[5], argv[6], argv[7]};
    std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), target.port);
    return target;
}

void say(BorrowedFd source, const std::string& text) {
    const std::string line = text + "\n";
    ::send(source.get(), line.data(), line.size(), MSG_NOSIGNAL);
}

/// Returns when the source ended and all was taken, or its patience did.
void carry(BorrowedFd source, tls_relay::TlsConnection& connection) {
    std::array<char, 16384> buffer;
    std::size_t begin = 0, end = 0;
    bool hung_up = false;
    SteadyTime deadline = SteadyTime::max();
    for (;;) {
        const bool waits = begin < end;
        const short from_source = waits ? 0 : POLLIN;  // POLLHUP is always told
        pollfd pollers[] = {
            {hung_up && waits ? -1 : source.get(), from_source, 0},
            {connection.socket().get(), static_cast<short>(waits ? POLLIN | POLLOUT : POLLIN), 0}};
        if (::poll(pollers, 2, hung_up ? 100 : -1) < 0 && errno != EINTR) throw_errno("polling");
        if (pollers[0].revents & POLLHUP && !hung_up) {
            hung_up = true;
            deadline = std::chrono::steady_clock::now() + kPatienceAtTheEnd;
        }
        if (pollers[1].revents & (POLLIN | POLLHUP | POLLERR) && !connection.drain()) return;
        if (!waits && pollers[0].revents & (POLLIN | POLLHUP)) {
            const ssize_t count = ::read(source.get(), buffer.data(), buffer.size());
            if (count <= 0) return;
            begin = 0;
            end = static_cast<std::size_t>(count);
        }
        if (begin < end) begin += connection.write({buffer.data() + begin, end - begin});
        if (std::chrono::steady_clock::now() > deadline) return;
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) {
        std::fprintf(stderr, "berth-tls-relay is started by berth-shim\n");
        return 2;
    }
    ::signal(SIGPIPE, SIG_IGN);
    const UniqueFd source{kSourceFd};
    try {
        tls_relay::TlsConnection connection(target_from(argv),
                                            std::chrono::steady_clock::now() + kPatienceToConnect);
        say(source, "");
        carry(source, connection);
        connection.close();
    } catch (const std::exception& error) {
        say(source, error.what());
        return 1;
    }
    return 0;
}
