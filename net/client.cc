#include "net/client.h"

#include "linux/message_socket.h"

namespace berth::net {
namespace {

// Far above what any request takes; it guards against a stopped network process.
constexpr int kReplyDeadlineMs = 30'000;

}  // namespace

NetworkClient NetworkClient::connect(const std::string& path) {
    return NetworkClient{linux_os::connect_messages(path)};
}

Reply NetworkClient::call(const Request& request, const std::vector<BorrowedFd>& fds) {
    const std::int64_t seq = next_seq_++;
    if (linux_os::send_message(socket_, encode_request({seq, request}), fds) !=
        linux_os::SendResult::sent)
        throw Error(ErrorKind::unavailable, "the network process is gone");
    while (true) {
        if (!linux_os::wait_readable(socket_, kReplyDeadlineMs))
            throw Error(ErrorKind::unavailable, "the network process does not answer");
        const linux_os::Received received = linux_os::receive_message(socket_);
        if (received.state == linux_os::ReceiveState::closed)
            throw Error(ErrorKind::unavailable, "the network process is gone");
        if (received.state == linux_os::ReceiveState::would_block) continue;
        Reply reply = decode_reply(received.message.text);
        if (reply.seq != seq) continue;  // the late reply of a call that was given up
        if (reply.error) throw *reply.error;
        return reply;
    }
}

void NetworkClient::ensure_network(const NetworkSpec& network) { call(EnsureNetwork{network}); }

void NetworkClient::remove_network(const std::string& id) { call(RemoveNetwork{id}); }

void NetworkClient::attach(const Attachment& attachment, BorrowedFd network_namespace) {
    call(Attach{attachment}, {network_namespace});
}

void NetworkClient::loopback(BorrowedFd network_namespace) {
    call(Loopback{}, {network_namespace});
}

void NetworkClient::detach(const Detach& request) { call(request); }
void NetworkClient::set_default_route(const SetDefaultRoute& route, BorrowedFd network_namespace) {
    call(route, {network_namespace});
}
void NetworkClient::release(const Release& request) { call(request); }
void NetworkClient::keep(const Keep& wanted) { call(wanted); }

std::vector<PortBinding> NetworkClient::publish(const PublishedPorts& ports,
                                                BorrowedFd network_namespace) {
    std::vector<BorrowedFd> fds;
    if (network_namespace) fds.push_back(network_namespace);
    return call(Publish{ports}, fds).bindings;
}

void NetworkClient::unpublish(const std::string& container) { call(Unpublish{container}); }

NetworkState NetworkClient::state() { return call(GetState{}).state; }

}  // namespace berth::net
