#include "net/egress.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "net/congestion.h"
#include "net/loop_thread.h"
#include "net/splice_pump.h"

namespace berth::net {
namespace {

// Two cores' worth of splicing feed any card; more threads only cost memory when idle.
constexpr unsigned kMaxWorkers = 4;
// Descriptors for everything but connections.
constexpr rlim_t kOtherDescriptors = 256;
// Two sockets, and pipes while an end does not read; what is left serves published ports.
constexpr rlim_t kDescriptorsEach = 4;
// The container's own keep-alives end in its namespace, so the host's connection has its own: often
// enough for the address translation of routers, and patient as a connection without them.
constexpr int kKeepAliveSeconds = 60;
constexpr int kKeepAliveProbes = 120;

std::size_t connection_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
    return (std::max(limit.rlim_cur, 2 * kOtherDescriptors) - kOtherDescriptors) / kDescriptorsEach;
}

IpAddress peer_of(BorrowedFd socket) {
    linux_os::SocketAddress peer;
    socklen_t length = linux_os::SocketAddress::capacity();
    if (::getpeername(socket.get(), peer.get(), &length) < 0) return {};
    return peer.address();
}

}  // namespace

/// A thread that splices. The number of its connections may be asked from any thread.
class Egress::Worker final {
  public:
    Worker() : pump_(thread_.poller(), pipes_) {
        thread_.start([this] {
            const bool unfinished = pump_.finish_round();
            load_ = pump_.size();
            return unfinished ? 0 : -1;
        });
    }
    ~Worker() { thread_.stop(); }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void add(UniqueFd container, UniqueFd host, std::function<void()> ended) {
        // A job must be copyable; a descriptor is not.
        auto moved =
            std::make_shared<std::pair<UniqueFd, UniqueFd>>(std::move(container), std::move(host));
        thread_.post([this, moved, done = std::move(ended)] {
            try {
                pump_.add(std::move(moved->first), std::move(moved->second), done);
            } catch (const Error& error) {
                done();
                throw;
            }
        });
    }

    void abort_of(std::set<IpAddress> sources) {
        thread_.post([this, moved = std::move(sources)] {
            pump_.abort_where([&](BorrowedFd client) { return moved.contains(peer_of(client)); });
        });
    }

    std::size_t load() const { return load_; }

  private:
    PipePool pipes_;
    LoopThread thread_;
    SplicePump pump_;
    std::atomic<std::size_t> load_ = 0;
};

Egress::Egress(ContainerSide& side, NamespaceThread& executor, const ProcessConfig& config)
    : side_(side), executor_(executor) {
    if (!exists("/proc/sys/net/ipv6")) families_ = AddressFamilies::v4;
    try {
        if (config.spliced_egress)
            start(config.allow_host_loopback ? HostServices::loopback : HostServices::own_address);
        else
            side_.load_rules(no_egress_ruleset());
    } catch (const Error& error) {
        if (config.spliced_egress) fall_back(error.message());
    }
}

Egress::~Egress() {
    if (gate_) gate_->stop();
    workers_.clear();
}

void Egress::start(HostServices services) {
    GateSockets sockets;
    try {
        sockets = open_path();
    } catch (const Error& error) {
        if (families_ == AddressFamilies::v4) throw;
        families_ = AddressFamilies::v4;
        sockets = open_path();
        problem_ =
            "outgoing IPv6 connections take the slower way through libslirp: " + error.message();
        log::warn("{}", problem_);
    }
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < std::clamp(cores / 2, 1U, kMaxWorkers); ++i)
        workers_.push_back(std::make_unique<Worker>());
    gate_ = std::make_unique<SynGate>(
        std::move(sockets), connection_limit(), services,
        [this](UniqueFd container, UniqueFd host, std::function<void()> ended) {
            set_socket_option(host, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveSeconds);
            set_socket_option(host, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveSeconds);
            set_socket_option(host, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
            stop_pacing_within_host(host);
            stop_pacing(container);
            least_loaded().add(std::move(container), std::move(host), std::move(ended));
        });
}

// What the kernel lacks shows here, not at the first network.
GateSockets Egress::open_path() {
    side_.load_rules(egress_ruleset({}, families_));
    GateSockets sockets;
    executor_.run([&] { sockets = make_egress_path(families_); });
    return sockets;
}

void Egress::fall_back(const std::string& reason) {
    problem_ = "outgoing TCP connections take the slower way through libslirp: " + reason;
    log::warn("{}", problem_);
    workers_.clear();
    try {
        side_.load_rules(no_egress_ruleset());
    } catch (const Error& error) {  // as a rule the same reason: there are no rules then
        log::warn("the rules of outgoing connections could not be removed: {}", error.message());
    }
}

Egress::Worker& Egress::least_loaded() {
    return **std::ranges::min_element(workers_, {}, [](const auto& each) { return each->load(); });
}

void Egress::on_networks(std::span<const NetworkSpec> networks) {
    if (!gate_) return;
    std::vector<GatedSubnet> subnets;
    for (const NetworkSpec& network : networks) {
        if (!is_gated(network)) continue;
        const auto add = [&](const std::string& subnet, const std::string& gateway) {
            if (!subnet.empty() && !gateway.empty())
                subnets.push_back({Subnet::parse(subnet), IpAddress::parse(gateway)});
        };
        add(network.subnet, network.gateway);
        add(network.subnet_v6, network.gateway_v6);
    }
    gate_->set_subnets(std::move(subnets));
    std::string rules = egress_ruleset(networks, families_);
    if (rules == rules_) return;
    try {
        side_.load_rules(rules);
        rules_ = std::move(rules);
    } catch (const Error& error) {
        // The rules before these stay; the connections that stand must not end for this.
        log::warn(
            "rules for outgoing connections stay as they are until the networks change again: {}",
            error.message());
    }
}

void Egress::on_detached(const Attachment& attachment) {
    std::set<IpAddress> sources;
    for (const std::string& address : {attachment.address, attachment.address_v6})
        if (!address.empty()) sources.insert(Subnet::parse(address).address);
    for (const auto& worker : workers_) worker->abort_of(sources);
}

}  // namespace berth::net
