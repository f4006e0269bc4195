#include "engine/network/process.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "linux/message_socket.h"

namespace berth::engine {

using nlohmann::json;

namespace {

/// One request over `channel`; the wire form of net/protocol.h without its number, which the
/// channel adds.
async::Task<net::Reply> send(std::shared_ptr<async::MessageChannel> channel, net::Request request,
                             std::vector<BorrowedFd> fds) {
    json message = parse_json(net::encode_request({0, std::move(request)}));
    message.erase("seq");
    const async::ChannelMessage reply =
        co_await channel->request(std::move(message), std::move(fds));
    co_return net::decode_reply(dump_json(reply.body()));
}

/// Supervisor and boot start the network process beside the engine: it may not listen yet.
async::Task<UniqueFd> connect_patiently(std::string path) {
    constexpr std::chrono::seconds kPatience{5};
    constexpr std::chrono::milliseconds kPause{20};
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
        std::optional<Error> failure;
        UniqueFd socket;
        try {
            socket = linux_os::connect_messages(path);
        } catch (const Error& error) {
            failure = error;
        }
        if (!failure) co_return socket;
        const bool late = std::chrono::steady_clock::now() > deadline;
        if (late || failure->kind() != ErrorKind::not_found)
            throw Error(ErrorKind::unavailable, "the network process cannot be reached: {}",
                        failure->message());
        co_await async::sleep_for(kPause);
    }
}

bool is_open(const std::shared_ptr<async::MessageChannel>& channel) {
    return channel && !channel->closed();
}

}  // namespace

async::Task<void> NetworkProcess::remind(Channel channel) {
    for (Reminder& reminder : reminders()) {
        std::vector<BorrowedFd> fds;
        if (reminder.network_namespace) fds.push_back(reminder.network_namespace);
        // One that is in the way of nobody else's: a container may have ended meanwhile.
        try {
            co_await send(channel, std::move(reminder.request), std::move(fds));
        } catch (const Error& error) {
            if (channel->closed()) throw;
            log::warn("the network process: {}", error.message());
        }
    }
}

async::Task<void> NetworkProcess::connect() {
    const async::Lock::Guard guard = co_await connecting_.acquire();
    if (is_open(channel_)) co_return;
    const Settings& settings = context_.settings;
    const std::string path = settings.network_socket.empty() ? settings.exec_root + "/network.sock"
                                                             : settings.network_socket;
    async::MessageChannel::Handlers handlers;
    handlers.on_event = [](async::ChannelMessage) {};
    handlers.on_closed = [] { log::warn("the network process hung up"); };
    UniqueFd socket = co_await connect_patiently(path);
    channel_ = std::make_shared<async::MessageChannel>(context_.executor, std::move(socket),
                                                       "network process", handlers);
    const Channel channel = channel_;
    try {
        co_await remind(channel);
        std::vector<BorrowedFd> none;
        net::Reply reply = co_await send(channel, net::GetState{}, std::move(none));
        warnings_ = std::move(reply.state.warnings);
    } catch (...) {
        channel->close();
        throw;
    }
}

async::Task<net::Reply> NetworkProcess::call(net::Request request, std::vector<BorrowedFd> fds) {
    if (!is_open(channel_) || connecting_.held()) co_await connect();
    const Channel channel = channel_;
    co_return co_await send(channel, std::move(request), std::move(fds));
}

}  // namespace berth::engine
