#include "buildkit/byte_stream.h"

#include <sys/socket.h>

#include "async/fd_wait.h"
#include "buildkit/messages.h"

namespace berth::buildkit {

namespace {
constexpr std::size_t kPiece = 32U << 10;

async::Task<> pump_out(grpc::Call call, std::shared_ptr<const UniqueFd> from, grpc::Role role) {
    std::string piece(kPiece, '\0');
    for (;;) {
        const auto bytes = co_await async::receive_some(*from, piece);
        if (!bytes || bytes->empty()) break;
        co_await call.write(grpc::WireWriter().text(1, *bytes).take());
    }
    if (role == grpc::Role::client) call.finish_sending();
}
}  // namespace

async::Task<> carry_bytes(grpc::Call call, UniqueFd socket, async::TaskGroup& tasks,
                          grpc::Role role) {
    const auto end = std::make_shared<const UniqueFd>(std::move(socket));
    tasks.spawn("bytes of a call", pump_out(call, end, role));
    std::exception_ptr failure;
    try {
        for (bool open = true; open;) {
            const auto message = co_await call.read();
            open = message.has_value();
            if (!open) break;
            const std::string bytes = decode_text(*message);
            open = co_await async::send_all(*end, bytes);
        }
    } catch (...) {
        failure = std::current_exception();
    }
    ::shutdown(end->get(), SHUT_RDWR);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace berth::buildkit
