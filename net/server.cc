#include "net/server.h"

#include <poll.h>

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "linux/message_socket.h"

namespace berth::net {
namespace {

constexpr int kAcceptPauseMs = 100;

}  // namespace

Server::Server(Service& service, UniqueFd listener, UniqueFd supervisor, UniqueFd signals)
    : service_(service),
      listener_(std::move(listener)),
      supervisor_(std::move(supervisor)),
      signals_(std::move(signals)) {}

bool Server::serve(BorrowedFd connection) {
    try {
        const linux_os::Received received = linux_os::receive_message(connection);
        if (received.state == linux_os::ReceiveState::closed) return false;
        if (received.state == linux_os::ReceiveState::would_block) return true;
        const std::string reply = service_.handle(received.message.text, received.message.fds);
        // What was promised survives a crash right after the promise.
        service_.save();
        return linux_os::send_message(connection, reply) == linux_os::SendResult::sent;
    } catch (const std::exception& error) {
        log::warn("a connection of the engine is dropped: {}", error.what());
        return false;
    }
}

// Nothing more is expected from the supervisor; its end does not end us.
void Server::hear_supervisor() {
    try {
        if (linux_os::receive_message(supervisor_).state == linux_os::ReceiveState::closed)
            supervisor_.reset();
    } catch (const Error&) {
        supervisor_.reset();
    }
}

void Server::accept() {
    try {
        if (UniqueFd connection = linux_os::accept_messages(listener_))
            connections_.push_back(std::move(connection));
    } catch (const Error& error) {
        log::warn("a connection of the engine waits: {}", error.message());
        listener_paused_ = true;
    }
}

void Server::run() {
    while (true) {
        std::vector<pollfd> polled{{signals_.get(), POLLIN, 0},
                                   {listener_.get(), POLLIN, 0},
                                   {supervisor_.get(), POLLIN, 0}};
        for (const UniqueFd& connection : connections_)
            polled.push_back({connection.get(), POLLIN, 0});
        // Without descriptors the listener stays readable: it is left alone for a while.
        const bool paused = std::exchange(listener_paused_, false);
        if (paused) polled[1].fd = -1;
        if (::poll(polled.data(), polled.size(), paused ? kAcceptPauseMs : -1) < 0) {
            if (errno == EINTR) continue;
            throw_errno("waiting for requests");
        }
        if (polled[0].revents != 0) return;
        if (polled[2].revents != 0) hear_supervisor();
        std::size_t index = 3;
        for (auto at = connections_.begin(); at != connections_.end(); ++index) {
            const bool over = polled[index].revents != 0 && !serve(*at);
            at = over ? connections_.erase(at) : std::next(at);
        }
        if (polled[1].revents != 0) accept();
    }
}

}  // namespace berth::net
