// Questions on their way to upstream servers. Each gets a socket of its own (a fresh source port
// is what keeps forged replies out) and asks one server after the other until one knows: UDP for a
// client that asked by UDP, TCP for one by TCP. What fails everywhere is "server failure". The
// number of questions under way is limited. DNS thread only.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "linux/socket_address.h"
#include "net/dns_message.h"
#include "net/poller.h"
#include "net/protocol.h"

namespace berth::net {

struct DnsForward final {
    DnsQuery query;
    std::string message;  // the client's
    Transport transport = Transport::udp;
    std::vector<linux_os::SocketAddress> servers;
    /// A non-blocking socket in the namespace from which the servers are asked.
    std::function<UniqueFd(Transport, int family)> make_socket;
    /// Gets the reply, under the client's number. Called later, never within forward().
    std::function<void(std::string)> done;
};

class DnsForwarder final {
  public:
    explicit DnsForwarder(Poller& poller);
    ~DnsForwarder();
    DnsForwarder(const DnsForwarder&) = delete;
    DnsForwarder& operator=(const DnsForwarder&) = delete;

    void forward(DnsForward request);
    /// How many more questions may be under way.
    std::size_t room() const;
    /// Call after each round: answers, gives up on what took too long. Milliseconds until the next
    /// call is due; negative: nothing is under way.
    int finish_round(SteadyTime now);

  private:
    class Question;
    Poller& poller_;
    std::mt19937 random_{std::random_device{}()};
    std::list<std::unique_ptr<Question>> questions_;
};

}  // namespace berth::net
