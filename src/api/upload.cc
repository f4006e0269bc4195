#include "api/upload.h"

#include "api/background_work.h"
#include "async/fd_wait.h"
#include "base/error.h"
#include "linux/socket_pair.h"

namespace berth::api {

namespace {
constexpr std::size_t kPiece = 64U << 10;

// What the worker did not want. A client that is still sending may not see an answer that comes
// before it has finished, so a body of usual size is taken to its end.
async::Task<> drain_body(Call& call) {
    constexpr std::size_t kMost = 64U << 20;
    std::string piece(kPiece, '\0');
    for (std::size_t taken = 0; taken < kMost;) {
        const std::size_t size = co_await call.exchange.read_body(piece);
        if (size == 0) co_return;
        taken += size;
    }
}
}  // namespace

async::Task<> pump_body(Call& call, UniqueFd into) {
    std::string piece(kPiece, '\0');
    for (;;) {
        const std::size_t size = co_await call.exchange.read_body(piece);
        if (size == 0) co_return;
        const bool wanted = co_await async::send_all(into, std::string_view(piece).substr(0, size));
        if (!wanted) co_return;
    }
}

async::Task<> run_with_body(Call& call, UploadWork work) {
    auto [writer, reader] = linux_os::stream_socket_pair();
    const auto upload = std::make_shared<BackgroundWork>();
    async::TaskGroup group(co_await boost::asio::this_coro::executor);
    group.spawn("upload", run_work(upload, work(std::move(reader), upload->stop.get_token())));
    std::exception_ptr failure;
    try {
        co_await pump_body(call, std::move(writer));
        co_await drain_body(call);
    } catch (...) {
        failure = std::current_exception();
        upload->stop.request_stop();
    }
    co_await until_done(upload);
    if (failure) std::rethrow_exception(failure);
    if (upload->failure) std::rethrow_exception(upload->failure);
}

}  // namespace berth::api
