#include "http/server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>

#include "async/sync.h"
#include "base/log.h"
#include "http/connection.h"

namespace berth::http {
namespace asio = boost::asio;

namespace {
constexpr auto kRoomPatience = std::chrono::seconds(1);
constexpr std::size_t kFewDescriptors = 1024;  // where the limit cannot be asked for
}  // namespace

std::size_t share_of_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return kFewDescriptors / 2;
    return std::max<std::size_t>(1, limit.rlim_cur / 2);
}

struct Server::State final {
    State(async::Executor where, Handler what, Limits bounds)
        : executor(std::move(where)),
          handler(std::move(what)),
          limits(bounds),
          accepting(executor),
          serving(executor) {}

    async::Executor executor;
    Handler handler;
    Limits limits;
    async::TaskGroup accepting;
    async::TaskGroup serving;
    std::list<Connection*> connections;
    async::Condition left;  // one of them ended
    bool stopping = false;

    static async::Task<> make_room(std::shared_ptr<State> state);
    static async::Task<> serve(std::shared_ptr<State> state, UniqueFd socket);
    static async::Task<> accept(std::shared_ptr<State> state, UniqueFd listener);
};

async::Task<> Server::State::serve(std::shared_ptr<State> state, UniqueFd socket) {
    Connection connection(state->executor, std::move(socket), state->handler, state->limits);
    struct Membership final {
        Membership(State& server, Connection* one)
            : state(server), place(state.connections.insert(state.connections.end(), one)) {}
        ~Membership() {
            state.connections.erase(place);
            state.left.notify_all();
        }
        Membership(const Membership&) = delete;
        Membership& operator=(const Membership&) = delete;
        State& state;
        std::list<Connection*>::iterator place;
    } const membership(*state, &connection);
    co_await connection.run();
}

// Thousands of idle or half-sent requests must not keep out who wants something. Where all are
// being answered (streams of events and logs), the new one waits for an end.
async::Task<> Server::State::make_room(std::shared_ptr<State> state) {
    while (state->connections.size() >= state->limits.connections && !state->stopping) {
        const auto longest =
            std::ranges::min_element(state->connections, {}, &Connection::waiting_since);
        if ((*longest)->waiting_since() != SteadyTime::max()) (*longest)->drop();
        co_await state->left.wait_until(std::chrono::steady_clock::now() + kRoomPatience);
    }
}

async::Task<> Server::State::accept(std::shared_ptr<State> state, UniqueFd listener) {
    const int flags = ::fcntl(listener.get(), F_GETFL);
    if (flags < 0 || ::fcntl(listener.get(), F_SETFL, flags | O_NONBLOCK) < 0)
        throw_errno("setting a listener non-blocking");
    asio::posix::stream_descriptor descriptor(state->executor, listener.get());
    const int fd = listener.release();
    while (!state->stopping) {
        UniqueFd socket(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (socket) {
            co_await make_room(state);
            state->serving.spawn("connection", serve(state, std::move(socket)));
            continue;
        }
        const int error = errno;
        if (error == EAGAIN) {
            const auto [failed] = co_await descriptor.async_wait(
                asio::posix::descriptor_base::wait_read, asio::as_tuple(asio::use_awaitable));
            if (failed) co_return;
        } else if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS) {
            log::warn("msg=\"cannot accept a connection\" error=\"{}\"", errno_text(error));
            co_await async::sleep_for(std::chrono::milliseconds(100));
        } else if (error != EINTR && error != ECONNABORTED) {
            throw Error::from_errno(error, "accepting a connection");
        }
    }
}

Server::Server(async::Executor executor, Handler handler, Limits limits)
    : state_(std::make_shared<State>(std::move(executor), std::move(handler), limits)) {}

Server::~Server() = default;

void Server::listen(UniqueFd listener) {
    state_->accepting.spawn("listener", State::accept(state_, std::move(listener)));
}

async::Task<> Server::stop(SteadyTime deadline) {
    const auto state = state_;
    state->stopping = true;
    co_await state->accepting.stop(deadline);
    for (Connection* connection : state->connections) connection->end_when_idle();
    const auto ended = co_await async::finish_by(deadline, state->serving.wait_empty());
    if (ended == async::Finish::deadline)
        co_await state->serving.stop(deadline + std::chrono::seconds(1));
}

std::size_t Server::connections() const { return state_->connections.size(); }

}  // namespace berth::http
