#include "grpc/connection.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "async/stream_protocol.h"
#include "base/log.h"

namespace berth::grpc {
namespace asio = boost::asio;

namespace {
constexpr auto kUseTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kPiece = 64U << 10;
constexpr std::size_t kUnsentLimit = 1U << 20;

Error gone(const CallState& call) {
    return call.failure.value_or(Error(ErrorKind::cancelled, "the other side ended the call"));
}
}  // namespace

struct ConnectionState final : std::enable_shared_from_this<ConnectionState> {
    ConnectionState(const async::Executor& executor, UniqueFd fd, std::string early_bytes,
                    Role what, async::TaskGroup& group, CallHandler answer)
        : socket(executor),
          early(std::move(early_bytes)),
          tasks(group),
          handler(std::move(answer)),
          role(what),
          session(what, {[this](const CallPointer& call) { begin(call); },
                         [this] { output_wanted.notify_all(); }}) {
        socket.assign(async::protocol_of(fd), fd.get());
        fd.release();  // NOLINT: the Asio socket closes it
    }

    void begin(const CallPointer& call);
    async::Task<> serve(Call call);
    async::Task<> read_all();
    static async::Task<> write_all(std::shared_ptr<ConnectionState> state);
    void close();

    asio::generic::stream_protocol::socket socket;
    std::string early;
    async::TaskGroup& tasks;
    const CallHandler handler;
    const Role role;
    async::Condition output_wanted;
    bool closed = false;
    Session session;
};

void ConnectionState::begin(const CallPointer& call) {
    tasks.spawn("call " + call->method, serve(Call(shared_from_this(), call)));
}

async::Task<> ConnectionState::serve(Call call) {
    std::exception_ptr failure;
    const auto self = shared_from_this();  // the handler is ours
    try {
        co_await async::run_cancellable(call.cancel_source(), handler(call));
    } catch (...) {
        failure = std::current_exception();
    }
    Status status;
    if (failure) status = status_of(async::to_error(failure));
    log::debug("call={} status={} msg=\"{}\"", call.method(), static_cast<int>(status.code),
               status.message);
    call.finish(std::move(status));
}

async::Task<> ConnectionState::read_all() {
    if (!early.empty()) session.feed(std::exchange(early, {}));
    std::string buffer(kPiece, '\0');
    while (!closed && !session.finished()) {
        const auto [error, size] = co_await socket.async_read_some(asio::buffer(buffer), kUseTuple);
        if (error) co_return;
        session.feed(std::string_view(buffer).substr(0, size));
    }
}

async::Task<> ConnectionState::write_all(std::shared_ptr<ConnectionState> state) {
    while (!state->closed) {
        const std::string bytes = state->session.output();
        if (bytes.empty()) {
            if (state->session.finished()) break;
            co_await state->output_wanted.wait();
            continue;
        }
        const auto [error, size] =
            co_await asio::async_write(state->socket, asio::buffer(bytes), kUseTuple);
        if (error) break;
    }
    state->close();
}

void ConnectionState::close() {
    if (closed) return;
    closed = true;
    boost::system::error_code ignored;
    socket.close(ignored);
    session.end();
    output_wanted.notify_all();
}

async::Task<std::optional<std::string>> Call::read() {
    for (;;) {
        auto message = connection_->session.take(call_);
        if (message) co_return message;
        if (call_->failure) throw gone(*call_);
        if (call_->remote_done || call_->closed) break;
        co_await call_->changed.wait();
    }
    if (connection_->role == Role::server) {
        if (!call_->remote_done) throw gone(*call_);
        co_return std::nullopt;
    }
    const auto code = find(call_->response, "grpc-status");
    if (code.empty()) throw Error(ErrorKind::unavailable, "{} gave no status", call_->method);
    if (code == "0") co_return std::nullopt;
    const Status status{static_cast<Code>(std::atoi(std::string(code).c_str())),
                        decode_message(find(call_->response, "grpc-message"))};
    throw error_of(status);
}

async::Task<std::string> Call::read_one() {
    auto message = co_await read();
    if (!message) throw Error(ErrorKind::invalid, "{} needs a message", call_->method);
    co_return std::move(*message);
}

async::Task<> Call::write(std::string message) {
    if (call_->closed) throw gone(*call_);
    connection_->session.send(call_, message);
    while (call_->outgoing.size() > kUnsentLimit && !call_->closed) co_await call_->changed.wait();
}

void Call::respond(Metadata metadata) { connection_->session.respond(call_, std::move(metadata)); }
void Call::finish_sending() { connection_->session.finish(call_, std::nullopt); }
void Call::finish(Status status) { connection_->session.finish(call_, std::move(status)); }
void Call::reset() { connection_->session.reset(call_); }

Connection::Connection(async::Executor executor, UniqueFd socket, std::string early, Role role,
                       async::TaskGroup& tasks, CallHandler handler)
    : state_(std::make_shared<ConnectionState>(executor, std::move(socket), std::move(early), role,
                                               tasks, std::move(handler))) {}

Connection::~Connection() { state_->close(); }

void Connection::close() { state_->close(); }

async::Task<> Connection::run() {
    const auto state = state_;
    state->tasks.spawn("HTTP/2 output", ConnectionState::write_all(state));
    std::exception_ptr failure;
    try {
        co_await state->read_all();
    } catch (...) {
        failure = std::current_exception();
    }
    state->close();
    if (failure) std::rethrow_exception(failure);
}

Call Connection::open(std::string method, Metadata metadata) {
    if (state_->closed) throw Error(ErrorKind::unavailable, "{}: the connection is closed", method);
    return {state_, state_->session.request(std::move(method), std::move(metadata))};
}

async::Task<std::string> Connection::call(std::string method, std::string request) {
    Call call = open(std::move(method), {});
    co_await call.write(std::move(request));
    call.finish_sending();
    std::exception_ptr failure;
    std::string reply;
    try {
        reply = co_await call.read_one();
        co_await call.read();  // its status
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        call.reset();
        std::rethrow_exception(failure);
    }
    co_return reply;
}

}  // namespace berth::grpc
