#include "api/hijack.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

namespace berth::api {

namespace {
using std::chrono::microseconds;
using std::chrono::seconds;

constexpr microseconds kLongestPause{10'000};

bool is_unix(BorrowedFd socket) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return ::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           domain == AF_UNIX;
}
}  // namespace

async::Task<> until_taken(BorrowedFd socket) {
    if (!is_unix(socket)) co_return;
    // No event tells it, and the client is about to run.
    const auto deadline = std::chrono::steady_clock::now() + seconds(2);
    for (microseconds pause(100); std::chrono::steady_clock::now() < deadline;
         pause = std::min(pause * 2, kLongestPause)) {
        int unread = 0;
        if (::ioctl(socket.get(), SIOCOUTQ, &unread) < 0 || unread == 0) co_return;
        co_await async::sleep_for(pause);
    }
}

async::Task<http::Hijacked> hijack(Call& call, const std::string& content_type,
                                   const http::Headers& extra) {
    const bool forgetful =
        call.request().headers.get("User-Agent").starts_with("docker-sdk-python/");
    http::Hijacked client =
        co_await call.exchange.hijack(hijack_head(call.request(), content_type, extra));
    if (forgetful) co_await until_taken(client.socket);
    co_return client;
}

}  // namespace berth::api
