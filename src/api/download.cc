#include "api/download.h"

#include "api/background_work.h"
#include "async/fd_wait.h"
#include "base/error.h"
#include "linux/socket_pair.h"

namespace berth::api {

namespace {
async::Task<> send_bytes(Call& call, http::Headers headers,
                         std::shared_ptr<BackgroundWork> download, BorrowedFd from) {
    constexpr std::size_t kPiece = 256U << 10;
    std::string piece(kPiece, '\0');
    for (;;) {
        const auto bytes = co_await async::receive_some(from, piece);
        if (!bytes) throw Error::from_errno(bytes.error(), "reading what is to be sent");
        if (bytes->empty()) break;
        if (!call.exchange.replied()) co_await call.exchange.stream(200, headers);
        co_await call.exchange.write(*bytes);
    }
    co_await until_done(download);
    if (download->failure) std::rethrow_exception(download->failure);
    if (!call.exchange.replied()) co_await call.exchange.stream(200, headers);
    co_await call.exchange.finish();
}
}  // namespace

async::Task<> reply_with_download(Call& call, http::Headers headers, DownloadWork work) {
    auto [writer, reader] = linux_os::stream_socket_pair();
    const auto download = std::make_shared<BackgroundWork>();
    async::TaskGroup group(co_await boost::asio::this_coro::executor);
    group.spawn("download",
                run_work(download, work(std::move(writer), download->stop.get_token())));
    std::exception_ptr failure;
    try {
        co_await call.exchange.cancel_on_disconnect(
            send_bytes(call, std::move(headers), download, reader));
    } catch (...) {
        failure = std::current_exception();
    }
    // A worker that still writes gets an error now.
    reader.reset();
    download->stop.request_stop();
    co_await until_done(download);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace berth::api
