#include "net/dns_server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "linux/socket_address.h"
#include "net/port_redirect.h"

namespace berth::net {
namespace {

constexpr int kBacklog = 64;
constexpr std::size_t kMaxClients = 64;
constexpr std::size_t kMaxQuestionsOfClient = 16;  // that wait for replies
constexpr int kDatagramsPerRound = 32;
// What a question may be long; RFC 1035 knows 512, cookies and padding make it more.
constexpr std::size_t kMaxQuery = 4096;
constexpr std::chrono::seconds kIdle{10};

UniqueFd bound_socket(int type, std::uint16_t port) {
    const linux_os::SocketAddress address{IpAddress::parse(kDnsAddress), port};
    UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd || ::bind(fd.get(), address.get(), address.length()) < 0)
        throw_errno("binding {}:{}", kDnsAddress, port);
    if (type == SOCK_STREAM && ::listen(fd.get(), kBacklog) < 0)
        throw_errno("listening on {}:{}", kDnsAddress, port);
    return fd;
}

std::uint16_t port_of(BorrowedFd socket) {
    linux_os::SocketAddress address;
    socklen_t length = linux_os::SocketAddress::capacity();
    if (::getsockname(socket.get(), address.get(), &length) < 0) throw_errno("naming a socket");
    return address.port();
}

}  // namespace

DnsSockets open_dns_sockets() {
    DnsSockets sockets{bound_socket(SOCK_DGRAM, 0), bound_socket(SOCK_STREAM, 0)};
    try {
        load_redirect({.table = "berth_dns",
                       .address = IpAddress::parse(kDnsAddress),
                       .port = kDnsPort,
                       .udp_port = port_of(sockets.udp),
                       .tcp_port = port_of(sockets.tcp)});
        return sockets;
    } catch (const Error& error) {
        log::warn("containers cannot have port 53 of all addresses: {}", error.message());
    }
    return {bound_socket(SOCK_DGRAM, kDnsPort), bound_socket(SOCK_STREAM, kDnsPort)};
}

struct DnsServer::Datagrams final : PollTarget {
    explicit Datagrams(DnsServer& owner) : server(owner) {}
    void on_events(std::uint32_t) override { server.take_datagrams(); }
    DnsServer& server;
};

struct DnsServer::Listener final : PollTarget {
    explicit Listener(DnsServer& owner) : server(owner) {}
    void on_events(std::uint32_t) override { server.accept_clients(); }
    DnsServer& server;
};

/// A TCP connection: questions and replies, each behind its length.
class DnsServer::Client final : public PollTarget,
                                public std::enable_shared_from_this<DnsServer::Client> {
  public:
    Client(DnsServer& server, UniqueFd socket) : server_(&server), socket_(std::move(socket)) {
        server_->poller_.add(socket_, *this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
    ~Client() override { end(); }

    bool is_over(SteadyTime now) const { return !socket_ || now - last_heard_ > kIdle; }

    /// The server goes: replies that are still on their way have nobody to go to.
    void end() {
        if (socket_ && server_) server_->poller_.remove(socket_);
        socket_.reset();
        server_ = nullptr;
    }

    void on_events(std::uint32_t) override {
        write();
        read();
    }

    /// Goes on with what was left because replies were due first; between rounds, since a reply at
    /// once would recurse.
    void resume() {
        if (!socket_ || !stalled_ || is_full()) return;
        stalled_ = false;
        take_questions();
        read();
    }

  private:
    bool is_full() const {
        return waiting_ >= kMaxQuestionsOfClient || outgoing_.size() >= kMaxDnsMessage;
    }

    void read() {
        std::array<char, kMaxQuery> buffer;
        while (socket_ && !stalled_) {
            const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno == EAGAIN) return;
            if (count <= 0) return hang_up();
            last_heard_ = std::chrono::steady_clock::now();
            incoming_.append(buffer.data(), static_cast<std::size_t>(count));
            take_questions();
        }
    }

    void take_questions() {
        while (socket_ && incoming_.size() >= 2) {
            stalled_ = is_full();
            if (stalled_) return;
            const std::size_t length = static_cast<unsigned char>(incoming_[0]) * 256U +
                                       static_cast<unsigned char>(incoming_[1]);
            if (length > kMaxQuery) return hang_up();
            if (incoming_.size() < length + 2) return;
            std::string message = incoming_.substr(2, length);
            incoming_.erase(0, length + 2);
            std::optional<DnsQuery> query = parse_dns_query(message);
            if (!query) return hang_up();
            ++waiting_;
            server_->handler_({std::move(*query), std::move(message), Transport::tcp,
                               [client = weak_from_this()](std::string reply) {
                                   if (const auto self = client.lock()) self->reply(reply);
                               }});
        }
    }

    void reply(const std::string& message) {
        if (waiting_ > 0) --waiting_;
        if (!socket_) return;
        outgoing_ += static_cast<char>(message.size() >> 8);
        outgoing_ += static_cast<char>(message.size() & 0xff);
        outgoing_ += message;
        write();
    }

    void write() {
        while (socket_ && !outgoing_.empty()) {
            const ssize_t count =
                ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno == EAGAIN) return;
            if (count < 0) return hang_up();
            outgoing_.erase(0, static_cast<std::size_t>(count));
        }
        if (hanging_up_ && waiting_ == 0) end();
    }

    // After the replies that are under way.
    void hang_up() {
        hanging_up_ = true;
        if (waiting_ == 0 && outgoing_.empty()) end();
    }

    DnsServer* server_;
    UniqueFd socket_;
    std::string incoming_;
    std::string outgoing_;
    std::size_t waiting_ = 0;
    bool hanging_up_ = false;
    bool stalled_ = false;
    SteadyTime last_heard_ = std::chrono::steady_clock::now();
};

DnsServer::DnsServer(DnsSockets sockets, Poller& poller, Handler handler)
    : poller_(poller),
      handler_(std::move(handler)),
      udp_(std::make_shared<UniqueFd>(std::move(sockets.udp))),
      tcp_(std::move(sockets.tcp)),
      datagrams_(std::make_unique<Datagrams>(*this)),
      listener_(std::make_unique<Listener>(*this)) {
    poller_.add(*udp_, *datagrams_, EPOLLIN);
    // Edge: without descriptors a waiting client must not keep the thread busy.
    poller_.add(tcp_, *listener_, EPOLLIN | EPOLLET);
}

DnsServer::~DnsServer() {
    for (const auto& client : clients_) client->end();
    poller_.remove(*udp_);
    poller_.remove(tcp_);
    // Replies on their way must not keep the container's namespace.
    udp_->reset();
}

void DnsServer::take_datagrams() {
    std::array<char, kMaxQuery> buffer;
    for (int i = 0; i < kDatagramsPerRound; ++i) {
        linux_os::SocketAddress client;
        socklen_t length = linux_os::SocketAddress::capacity();
        const ssize_t count =
            ::recvfrom(udp_->get(), buffer.data(), buffer.size(), MSG_TRUNC, client.get(), &length);
        if (count < 0 && errno == EAGAIN) return;
        // Longer than any question: no reply. Errors are of earlier replies to clients that left.
        if (count < 0 || count > static_cast<ssize_t>(buffer.size())) continue;
        std::string message(buffer.data(), static_cast<std::size_t>(count));
        std::optional<DnsQuery> query = parse_dns_query(message);
        if (!query) continue;
        handler_({std::move(*query), std::move(message), Transport::udp,
                  [udp = udp_, client](std::string reply) {
                      if (*udp)
                          ::sendto(udp->get(), reply.data(), reply.size(),
                                   MSG_DONTWAIT | MSG_NOSIGNAL, client.get(), client.length());
                  }});
    }
}

void DnsServer::accept_clients() {
    while (true) {
        UniqueFd socket{::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!socket) return;
        // The one that waits longest makes room.
        if (clients_.size() >= kMaxClients) {
            clients_.front()->end();
            ended_.splice(ended_.end(), clients_, clients_.begin());
        }
        clients_.push_back(std::make_shared<Client>(*this, std::move(socket)));
    }
}

void DnsServer::finish_round(SteadyTime now) {
    ended_.clear();
    for (const auto& client : clients_) client->resume();
    clients_.remove_if([&](const auto& client) {
        if (!client->is_over(now)) return false;
        client->end();
        return true;
    });
}

}  // namespace berth::net
