#include "net/dns.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "linux/pid_fd.h"
#include "net/dns_forwarder.h"
#include "net/dns_names.h"
#include "net/dns_server.h"
#include "net/loop_thread.h"

namespace berth::net {
namespace {

constexpr std::size_t kMaxForwardedOfContainer = 256;
constexpr std::size_t kMaxUdpReply = 4096;
// How often idle TCP clients are looked for.
constexpr std::chrono::seconds kIdlePeriod{5};

UniqueFd make_socket(Transport transport, int family) {
    const int type = transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM;
    return UniqueFd{::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

/// What the main thread made for a container.
struct Prepared final {
    std::string container;
    DnsSockets sockets;
    std::optional<linux_os::PidFd> process;
    UniqueFd network_namespace;  // for sockets towards --dns servers
};

std::optional<linux_os::PidFd> process_of(const Attachment& attachment) {
    if (attachment.pid <= 0) return std::nullopt;
    try {
        return linux_os::PidFd::open(static_cast<pid_t>(attachment.pid));
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace

class Dns::Thread final {
  public:
    Thread(NamespaceThread& executor, HostResolvers resolvers)
        : executor_(executor), resolvers_(std::move(resolvers)) {
        loop_.start([this] { return finish_round(); });
    }
    ~Thread() { loop_.stop(); }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;

    void post(std::function<void()> job) { loop_.post(std::move(job)); }

    // The rest runs on the thread.

    DnsNames& names() { return names_; }

    void serve(Prepared prepared) {
        std::string container = prepared.container;
        served_.erase(container);
        served_.emplace(container, std::make_unique<Served>(*this, std::move(prepared)));
    }

    void forget(const std::string& container) { served_.erase(container); }

  private:
    /// A container with its name server.
    struct Served final : PollTarget {
        Served(Thread& owner, Prepared prepared)
            : thread(owner),
              container(prepared.container),
              process(std::move(prepared.process)),
              network_namespace(std::make_shared<UniqueFd>(std::move(prepared.network_namespace))),
              server(std::move(prepared.sockets), owner.loop_.poller(),
                     [this](DnsRequest request) { thread.answer(*this, std::move(request)); }) {
            if (process) thread.loop_.poller().add(process->fd(), *this, EPOLLIN);
        }
        ~Served() override {
            if (process) thread.loop_.poller().remove(process->fd());
        }
        void on_events(std::uint32_t) override { ended = true; }

        Thread& thread;
        std::string container;
        std::optional<linux_os::PidFd> process;
        std::shared_ptr<UniqueFd> network_namespace;
        std::shared_ptr<std::size_t> forwarded = std::make_shared<std::size_t>(0);
        bool ended = false;
        DnsServer server;
    };

    void answer(Served& served, DnsRequest request) {
        const std::size_t limit = request.transport == Transport::tcp
                                      ? kMaxDnsMessage
                                      : std::min(request.query.udp_limit, kMaxUdpReply);
        std::optional<DnsAnswer> own = names_.answer(served.container, request.query);
        // Nobody gets more than is left: so something is left for one who asks first, however many
        // ask without end.
        if (!own && *served.forwarded >= std::min(kMaxForwardedOfContainer, forwarder_.room()))
            own = DnsAnswer{.code = DnsCode::refused};
        if (own) return request.reply(dns_reply(request.query, *own, limit));
        forward(served, std::move(request));
    }

    void forward(Served& served, DnsRequest request) {
        DnsForward forward;
        for (const IpAddress& server : names_.servers(served.container))
            forward.servers.emplace_back(server, kDnsPort);
        if (!forward.servers.empty())
            forward.make_socket = [this, inside = served.network_namespace](Transport transport,
                                                                            int family) {
                UniqueFd socket;
                if (!*inside) return socket;
                executor_.run_in(*inside, [&] { socket = net::make_socket(transport, family); });
                return socket;
            };
        else if (names_.may_leave(served.container)) {
            forward.servers = resolvers_();
            forward.make_socket = net::make_socket;
        }
        ++*served.forwarded;
        forward.done = [count = served.forwarded,
                        reply = std::move(request.reply)](std::string message) {
            --*count;
            reply(std::move(message));
        };
        forward.query = std::move(request.query);
        forward.message = std::move(request.message);
        forward.transport = request.transport;
        forwarder_.forward(std::move(forward));
    }

    int finish_round() {
        const SteadyTime now = std::chrono::steady_clock::now();
        forwarder_.finish_round(now);
        bool clients = false;
        for (const auto& [container, served] : served_) {
            served->server.finish_round(now);
            clients = clients || served->server.has_clients();
        }
        std::erase_if(served_, [](const auto& entry) { return entry.second->ended; });
        // Clients may have asked just now.
        const int forwarded = forwarder_.finish_round(now);
        if (forwarded >= 0 || !clients) return forwarded;
        return static_cast<int>(std::chrono::milliseconds(kIdlePeriod).count());
    }

    NamespaceThread& executor_;
    HostResolvers resolvers_;
    DnsNames names_;
    LoopThread loop_;
    DnsForwarder forwarder_{loop_.poller()};
    std::map<std::string, std::unique_ptr<Served>> served_;
};

Dns::Dns(NamespaceThread& executor, HostResolvers resolvers)
    : executor_(executor), thread_(std::make_unique<Thread>(executor, std::move(resolvers))) {}

Dns::~Dns() = default;

void Dns::on_networks(std::span<const NetworkSpec> networks) {
    thread_->post([this, copy = std::vector<NetworkSpec>(networks.begin(), networks.end())] {
        thread_->names().set_networks(copy);
    });
}

void Dns::on_attached(const NetworkSpec&, const Attachment& attachment,
                      BorrowedFd network_namespace) {
    thread_->post([this, attachment] { thread_->names().add(attachment); });
    if (!attachment.names.empty()) serve(attachment, network_namespace);
}

void Dns::on_restored(const NetworkSpec&, const Attachment& attachment) {
    thread_->post([this, attachment] { thread_->names().add(attachment); });
    if (attachment.names.empty() || attachment.pid <= 0) return;
    try {
        const UniqueFd inside = open_file(fmt::format("/proc/{}/ns/net", attachment.pid), O_RDONLY);
        serve(attachment, inside);
    } catch (const Error& error) {  // the engine brings it
        log::debug("container={} DNS waits for the engine: {}", attachment.container.substr(0, 12),
                   error.message());
    }
}

void Dns::serve(const Attachment& attachment, BorrowedFd network_namespace) {
    const auto known = served_.find(attachment.container);
    if (known != served_.end() && known->second == attachment.pid) return;
    Prepared prepared{.container = attachment.container, .process = process_of(attachment)};
    if (attachment.pid > 0 && !prepared.process) return;  // it has ended
    try {
        executor_.run_in(network_namespace, [&] { prepared.sockets = open_dns_sockets(); });
        // It keeps the namespace: only where somebody says when to let go.
        if (prepared.process) prepared.network_namespace = duplicate(network_namespace);
    } catch (const Error& error) {
        log::warn("container={} has no DNS server: {}", attachment.container.substr(0, 12),
                  error.message());
        return;
    }
    served_[attachment.container] = attachment.pid;
    const auto shared = std::make_shared<Prepared>(std::move(prepared));
    thread_->post([this, shared] { thread_->serve(std::move(*shared)); });
}

void Dns::on_detached(const Attachment& attachment) {
    thread_->post([this, attachment] {
        thread_->names().remove(attachment.container, attachment.network_id);
        if (!thread_->names().has(attachment.container)) thread_->forget(attachment.container);
    });
    // A later start may find the same process number.
    served_.erase(attachment.container);
}

}  // namespace berth::net
