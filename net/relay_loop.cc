#include "net/relay_loop.h"

#include <chrono>
#include <functional>
#include <future>

#include "base/error.h"
#include "base/log.h"
#include "net/client_source.h"
#include "net/firewall.h"
#include "net/listen_follower.h"
#include "net/loop_thread.h"
#include "net/netlink.h"
#include "net/port_sockets.h"
#include "net/tcp_relay.h"
#include "net/udp_relay.h"

namespace berth::net {
namespace {

// How often idle UDP clients are looked for, while there are any.
constexpr std::chrono::seconds kExpiryPeriod{10};

// In the container network namespace.
void prepare_transparency(IpFamily family) {
    NetlinkBatch batch;
    batch.add_mark_rule(family, kTransparentMark);
    batch.add_local_route(family, kTransparentMark);
    batch.run();
}

ClientSource prepare_source() {
    ClientSource source;
    try {
        apply_ruleset(transparent_rules());
    } catch (const Error& error) {
        log::warn("containers see the gateway as the client of published ports: {}",
                  error.message());
        return source;
    }
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
        try {
            prepare_transparency(family);
            source.set_transparent(family);
        } catch (const Error& error) {
            log::info("containers see the gateway as the IPv{} client of published ports: {}",
                      family == IpFamily::v4 ? 4 : 6, error.message());
        }
    }
    return source;
}

int earlier(int left, int right) {
    if (left < 0 || right < 0) return std::max(left, right);
    return std::min(left, right);
}

}  // namespace

class RelayLoop::Thread final {
  public:
    explicit Thread(NamespaceThread& executor) {
        executor.run([&] {
            source_ = prepare_source();
            // The new thread inherits the executor's network namespace.
            loop_.start([this] { return finish_round(); });
        });
    }
    ~Thread() { loop_.stop(); }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;

    /// Runs `job` on the relay thread and waits for it; rethrows what it throws.
    void call(std::function<void()> job) {
        const auto task = std::make_shared<std::packaged_task<void()>>(std::move(job));
        std::future<void> result = task->get_future();
        loop_.post([task] { (*task)(); });
        result.get();
    }

    void add(ContainerPorts ports, std::optional<ListenProbe> probe) {
        const std::string& owner = ports.owner;
        std::vector<FollowingPort*> following;
        for (HostSocket& socket : ports.sockets) {
            if (socket.transport == Transport::udp) {
                udp_.push_back({owner, std::make_unique<UdpRelay>(std::move(socket), udp_parts_)});
                continue;
            }
            tcp_.push_back({owner, std::make_unique<TcpRelay>(std::move(socket), tcp_parts_)});
            following.push_back(tcp_.back().relay.get());
        }
        follower_.follow({owner, ports.output}, std::move(probe), following);
    }

    void remove(const std::string& owner) {
        follower_.forget(owner);
        std::erase_if(tcp_, [&](const auto& relay) { return relay.owner == owner; });
        std::erase_if(udp_, [&](const auto& relay) { return relay.owner == owner; });
    }

    void retarget(const std::string& owner, const std::vector<PortTarget>& targets) {
        const auto tell = [&](auto& relays) {
            for (auto& entry : relays)
                for (const PortTarget& target : targets)
                    if (entry.owner == owner && entry.relay->host() == target.host)
                        entry.relay->set_target(target.container_address);
        };
        tell(tcp_);
        tell(udp_);
        follower_.look_at(owner);
    }

    void follow(const FollowedContainer& followed, ListenProbe probe) {
        std::vector<FollowingPort*> ports;
        for (auto& entry : tcp_)
            if (entry.owner == followed.owner) ports.push_back(entry.relay.get());
        follower_.forget(followed.owner);
        follower_.follow(followed, std::move(probe), ports);
    }

    void set_networks(std::span<const NetworkSpec> networks) { source_.set_networks(networks); }

  private:
    template <typename Relay>
    struct Owned final {
        std::string owner;
        std::unique_ptr<Relay> relay;
    };

    // How long the next round may wait.
    int finish_round() {
        bool unfinished = false;
        for (auto& entry : tcp_) unfinished = entry.relay->finish_round() || unfinished;
        const SteadyTime now = std::chrono::steady_clock::now();
        follower_.look(now);
        const int expiry = expire(now);
        return unfinished ? 0 : earlier(expiry, follower_.timeout(now));
    }

    int expire(SteadyTime now) {
        bool in_use = false;
        for (auto& entry : udp_) {
            entry.relay->expire(now);
            in_use = entry.relay->in_use() || in_use;
        }
        return in_use ? static_cast<int>(std::chrono::milliseconds(kExpiryPeriod).count()) : -1;
    }

    LoopThread loop_;
    ClientSource source_;
    PipePool pipes_;
    ListenFollower follower_{loop_.poller()};
    TcpRelayParts tcp_parts_{loop_.poller(), pipes_, source_,
                             [this](const FollowingPort& port) { follower_.was_refused(port); }};
    UdpRelayParts udp_parts_{loop_.poller(), source_, {}};
    std::vector<Owned<TcpRelay>> tcp_;
    std::vector<Owned<UdpRelay>> udp_;
};

RelayLoop::RelayLoop(NamespaceThread& executor)
    : executor_(executor), thread_(std::make_unique<Thread>(executor)) {}

RelayLoop::~RelayLoop() = default;

bool RelayLoop::add(ContainerPorts ports, std::optional<ListenProbe::Target> inside) {
    std::vector<HostSocket> twins;
    executor_.run([&] {
        for (const HostSocket& socket : ports.sockets) {
            if (!socket.host.address().is_any()) continue;
            try {
                twins.push_back(gateway_twin(socket));
            } catch (const Error& error) {
                log::info("container={} not published at gateways: {}", ports.owner.substr(0, 12),
                          error.message());
            }
        }
    });
    std::optional<ListenProbe> probe;
    if (inside) probe = ListenProbe::open(executor_, std::move(*inside));
    const bool follows = probe.has_value();
    std::ranges::move(twins, std::back_inserter(ports.sockets));
    thread_->call([&] { thread_->add(std::move(ports), std::move(probe)); });
    return follows;
}

void RelayLoop::retarget(const std::string& owner, const std::vector<PortTarget>& targets) {
    thread_->call([&] { thread_->retarget(owner, targets); });
}

bool RelayLoop::follow(const std::string& owner, const std::string& output,
                       ListenProbe::Target inside) {
    std::optional<ListenProbe> probe = ListenProbe::open(executor_, std::move(inside));
    if (!probe) return false;
    thread_->call([&] { thread_->follow({owner, output}, std::move(*probe)); });
    return true;
}

void RelayLoop::remove(const std::string& owner) {
    thread_->call([&] { thread_->remove(owner); });
}

void RelayLoop::on_networks(std::span<const NetworkSpec> networks) {
    thread_->call([&] { thread_->set_networks(networks); });
}

}  // namespace berth::net
