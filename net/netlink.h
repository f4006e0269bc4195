// rtnetlink requests of the container side: links, addresses, routes. A batch is built in memory,
// sent in one system call, and each request's answer is checked. A batch's socket belongs to the
// network namespace of the thread that calls run(). Errors name the object ("bridge docker0").
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "base/unique_fd.h"

struct nlmsghdr;

namespace berth::net {

struct BridgeLink final {
    std::string name;
    std::string mac;
    int mtu = 0;
};

/// A veth pair: `name` becomes a port of the bridge, `peer_name` is made in another namespace.
struct VethLink final {
    std::string name;
    unsigned bridge_index = 0;
    int mtu = 0;
    std::string peer_name;
    std::string peer_mac;  // empty: the kernel's choice
    BorrowedFd peer_namespace;
};

enum class IfExists { fail, accept };

class NetlinkBatch final {
  public:
    NetlinkBatch();

    void add_bridge(const BridgeLink& link);
    void add_veth(const VethLink& link);
    /// An absent one is fine: a network namespace takes its links along at a time of its own.
    void remove_link(const std::string& name);
    void set_up(unsigned index, const std::string& name);
    void set_mtu(unsigned index, const std::string& name, int mtu);
    /// How many packets wait for the reader of a TUN device before more are lost.
    void set_queue_length(unsigned index, const std::string& name, std::uint32_t packets);
    /// The port talks to the bridge itself only, not to other isolated ports (icc=false).
    void isolate_port(const std::string& name);
    void add_address(unsigned index, const Subnet& address, IfExists if_exists);
    void add_default_route(unsigned index, const IpAddress& gateway, IfExists if_exists);
    void replace_default_route(unsigned index, const IpAddress& gateway);
    /// That of the main table; an absent one is fine.
    void remove_default_route(IpFamily family);
    /// Packets with the mark `mark` use the routing table of the same number; one rule a mark.
    void add_mark_rule(IpFamily family, std::uint32_t mark);
    /// Everything that uses routing table `table` is for this machine itself (TPROXY and sockets
    /// bound to foreign addresses need it).
    void add_local_route(IpFamily family, std::uint32_t table);
    /// Everything that uses routing table `table` leaves by the link.
    void add_link_route(IpFamily family, unsigned index, std::uint32_t table);

    /// Sends what was added, in order, and throws the first failure.
    void run();

  private:
    struct Sent final {
        std::string what;
        int accepted_errno = 0;  // a failure that is none
    };
    // Opens a message in the buffer; the previous one is closed by it.
    nlmsghdr* begin(std::uint16_t type, std::uint16_t flags, Sent sent);
    void finish();
    void check_answer(const nlmsghdr& answer) const;

    std::vector<std::uint64_t> buffer_;  // messages want four-byte alignment
    std::size_t used_ = 0;
    nlmsghdr* open_ = nullptr;
    std::vector<Sent> sent_;
};

/// Index of a link in the calling thread's network namespace; 0 when there is none.
unsigned link_index(const std::string& name);

}  // namespace berth::net
