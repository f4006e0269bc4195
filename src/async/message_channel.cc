#include "async/message_channel.h"

#include <fcntl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "async/sync.h"
#include "base/json.h"
#include "base/log.h"
#include "linux/message_socket.h"

namespace berth::async {
namespace asio = boost::asio;
using asio::posix::descriptor_base;

struct MessageChannel::State final {
    struct Pending final {
        Event answered;
        std::optional<ChannelMessage> reply;
    };
    State(const Executor& executor, UniqueFd fd, std::string peer_name, Handlers what)
        : socket(executor, fd.release()), peer(std::move(peer_name)), handlers(std::move(what)) {}

    BorrowedFd fd() { return BorrowedFd{socket.native_handle()}; }
    Task<> send(std::string text, std::vector<BorrowedFd> fds);
    void take(linux_os::Message message);
    void end();
    Error gone() const { return Error(ErrorKind::unavailable, "{} closed the connection", peer); }

    asio::posix::stream_descriptor socket;
    std::string peer;
    Handlers handlers;
    Lock sending;
    std::map<std::int64_t, Pending*> pending;
    std::int64_t last_seq = 0;
    bool closed = false;
};

Task<> MessageChannel::State::send(std::string text, std::vector<BorrowedFd> fds) {
    const auto order = co_await sending.acquire();
    while (!closed) {
        const auto result = linux_os::send_message(fd(), text, fds);
        if (result == linux_os::SendResult::sent) co_return;
        if (result == linux_os::SendResult::peer_gone) break;
        const auto [error] = co_await socket.async_wait(descriptor_base::wait_write,
                                                        asio::as_tuple(asio::use_awaitable));
        if (error && !closed) throw Error(ErrorKind::cancelled, "the operation was cancelled");
    }
    throw gone();
}

void MessageChannel::State::take(linux_os::Message message) {
    ChannelMessage arrived;
    arrived.json = std::make_shared<const nlohmann::json>(parse_json(message.text));
    arrived.fds = std::move(message.fds);
    const JsonReader reader(arrived.body());
    if (reader.string("type") != "reply") {
        // A copy, since the handler may destroy the channel and with it the handlers.
        if (const auto handler = handlers.on_event) handler(std::move(arrived));
        return;
    }
    const auto found = pending.find(reader.integer("seq"));
    if (found == pending.end()) return;  // its request was cancelled
    found->second->reply = std::move(arrived);
    found->second->answered.set();
}

void MessageChannel::State::end() {
    if (closed) return;
    closed = true;
    boost::system::error_code ignored;
    socket.close(ignored);
    for (const auto& [seq, request] : pending) request->answered.set();
}

MessageChannel::MessageChannel(Executor executor, UniqueFd socket, std::string peer,
                               Handlers handlers) {
    const int flags = ::fcntl(socket.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) < 0)
        throw_errno("setting the connection to {} non-blocking", peer);
    state_ =
        std::make_shared<State>(executor, std::move(socket), std::move(peer), std::move(handlers));
    auto read = [](std::shared_ptr<State> state) -> Task<> {
        try {
            while (!state->closed) {
                auto received = linux_os::receive_message(state->fd());
                if (received.state == linux_os::ReceiveState::closed) break;
                if (received.state == linux_os::ReceiveState::message) {
                    state->take(std::move(received.message));
                    continue;
                }
                const auto [error] = co_await state->socket.async_wait(
                    descriptor_base::wait_read, asio::as_tuple(asio::use_awaitable));
                if (error) break;
            }
        } catch (const std::exception& e) {
            if (!state->closed) log::warn("peer={} error=\"{}\"", state->peer, e.what());
        }
        if (state->closed) co_return;
        state->end();
        if (const auto handler = state->handlers.on_closed) handler();
    };
    asio::co_spawn(executor, read(state_), asio::detached);
}

MessageChannel::~MessageChannel() { close(); }

void MessageChannel::close() { state_->end(); }

bool MessageChannel::closed() const { return state_->closed; }

Task<ChannelMessage> MessageChannel::request(nlohmann::json message, std::vector<BorrowedFd> fds) {
    const auto state = state_;
    const std::int64_t seq = ++state->last_seq;
    message["v"] = 1;
    message["seq"] = seq;
    State::Pending pending;
    state->pending.emplace(seq, &pending);
    struct Forget final {
        State& state;
        std::int64_t seq;
        ~Forget() { state.pending.erase(seq); }
    } const forget{*state, seq};
    if (state->closed) throw state->gone();
    co_await state->send(dump_json(message), std::move(fds));
    if (!state->closed) co_await pending.answered.wait();
    if (!pending.reply) throw state->gone();
    const JsonReader reader(pending.reply->body());
    if (reader.has("error")) {
        const JsonReader error = reader.object("error");
        throw Error::with_text(error_kind_from(error.string("kind")), error.string("message"),
                               static_cast<int>(error.integer("errno")));
    }
    co_return std::move(*pending.reply);
}

void MessageChannel::notify(const nlohmann::json& message) {
    nlohmann::json copy = message;
    copy["v"] = 1;
    auto send = [](std::shared_ptr<State> state, std::string text) -> Task<> {
        try {
            co_await state->send(std::move(text), {});
        } catch (const Error& e) {
            log::debug("peer={} msg=\"a notice was lost\" error=\"{}\"", state->peer, e.message());
        }
    };
    asio::co_spawn(state_->socket.get_executor(), send(state_, dump_json(copy)), asio::detached);
}

}  // namespace berth::async
