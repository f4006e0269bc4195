#include "shim/control.h"

#include <fcntl.h>
#include <unistd.h>

namespace berth::shim {
namespace {

void never_block(BorrowedFd fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) < 0)
        throw_errno("making a control connection non-blocking");
}

}  // namespace

Control::~Control() {
    for (const auto& [id, connection] : connections_) loop_.unwatch(connection);
    if (listener_) loop_.unwatch(listener_);
}

void Control::add(UniqueFd connection) {
    never_block(connection);
    const ConnectionId id = next_++;
    loop_.watch(connection, EPOLLIN, [this, id](std::uint32_t) { readable(id); });
    connections_.emplace(id, std::move(connection));
}

void Control::listen(const std::string& path) {
    listener_ = linux_os::listen_messages(path);
    path_ = path;
    never_block(listener_);
    loop_.watch(listener_, EPOLLIN, [this](std::uint32_t) {
        try {
            UniqueFd connection = linux_os::accept_messages(listener_);
            if (connection) add(std::move(connection));
        } catch (const Error& error) {
            callbacks_.on_problem(error.message());
        }
    });
}

void Control::readable(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    try {
        linux_os::Received received = linux_os::receive_message(found->second);
        if (received.state == linux_os::ReceiveState::closed) return close(id);
        if (received.state == linux_os::ReceiveState::message)
            handle(id, std::move(received.message));
    } catch (const Error& error) {
        callbacks_.on_problem("control connection: " + error.message());
        close(id);
    }
}

void Control::handle(ConnectionId id, linux_os::Message message) {
    callbacks_.on_request(id, parse_request(message.text), std::move(message.fds));
}

void Control::send(ConnectionId id, const FromShim& message, const std::vector<BorrowedFd>& fds) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    try {
        if (linux_os::send_message(found->second, encode(message), fds) ==
            linux_os::SendResult::sent)
            return;
    } catch (const Error& error) {
        callbacks_.on_problem("control connection: " + error.message());
    }
    close(id);
}

void Control::broadcast(const FromShim& message) {
    for (const ConnectionId id : connections()) send(id, message);
}

std::set<Control::ConnectionId> Control::connections() const {
    std::set<ConnectionId> ids;
    for (const auto& [id, connection] : connections_) ids.insert(id);
    return ids;
}

void Control::close(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    loop_.unwatch(found->second);
    connections_.erase(found);
    callbacks_.on_closed(id);
}

void Control::close_all() {
    if (listener_) {
        loop_.unwatch(listener_);
        listener_.reset();
        ::unlink(path_.c_str());
    }
    for (const auto& [id, connection] : connections_) loop_.unwatch(connection);
    connections_.clear();
}

}  // namespace berth::shim
