// The name server of one container: 127.0.0.11, UDP and TCP, inside its network namespace. The
// sockets are made on the main thread (open_dns_sockets) and then belong to the DNS thread; they
// keep the namespace alive, so the owner drops the server when the container's process 1 ends.
//
// They listen on ports of their own to which the namespace's nftables table `berth_dns` directs
// port 53 of that address, so that a name server inside the container may have port 53 itself.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "net/dns_message.h"
#include "net/dns_names.h"
#include "net/namespace_thread.h"
#include "net/poller.h"
#include "net/protocol.h"

namespace berth::net {

struct DnsSockets final {
    UniqueFd udp;
    UniqueFd tcp;
};

/// In the calling thread's network namespace, whose loopback is up. Throws Error.
DnsSockets open_dns_sockets();

/// A client's question, and where its reply goes (called on the DNS thread, at once or later).
struct DnsRequest final {
    DnsQuery query;
    std::string message;
    Transport transport = Transport::udp;
    std::function<void(std::string)> reply;
};

class DnsServer final {
  public:
    using Handler = std::function<void(DnsRequest)>;
    DnsServer(DnsSockets sockets, Poller& poller, Handler handler);
    ~DnsServer();
    DnsServer(const DnsServer&) = delete;
    DnsServer& operator=(const DnsServer&) = delete;

    /// Call after each round: goes on with TCP clients, frees those that ended or are idle.
    void finish_round(SteadyTime now);
    bool has_clients() const { return !clients_.empty(); }

  private:
    class Client;
    struct Datagrams;
    struct Listener;
    void take_datagrams();
    void accept_clients();

    Poller& poller_;
    Handler handler_;
    /// Shared with replies that are still on their way.
    std::shared_ptr<UniqueFd> udp_;
    UniqueFd tcp_;
    std::unique_ptr<Datagrams> datagrams_;
    std::unique_ptr<Listener> listener_;
    std::list<std::shared_ptr<Client>> clients_;
    std::list<std::shared_ptr<Client>> ended_;  // freed when the round is over
};

}  // namespace berth::net
