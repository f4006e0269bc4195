#include "net/egress_path.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "net/netlink.h"
#include "net/sysctl.h"
#include "net/tun_device.h"

namespace berth::net {
namespace {

// Marks and routing tables have one number: packets for the gate's process, and packets for a
// transparent socket of this namespace.
constexpr std::uint32_t kToGate = 0x98;
constexpr std::uint32_t kToSocket = 0x99;
constexpr std::uint16_t kListenerPort = 9999;
// Nobody listens there: a segment that finds no connection must not find the listener, which
// would reset it, but go to the gate's process, which knows better.
constexpr std::uint16_t kNobodysPort = 9998;
constexpr int kBacklog = 4096;
// SYNs past the TUN's default of 500 would be lost and cost a second each.
constexpr std::uint32_t kQueuedPackets = 10'000;
constexpr int kDeviceMtu = 65520;

std::string elements(const std::vector<std::string>& list) {
    return list.empty() ? "" : fmt::format("elements = {{ {} }}; ", fmt::join(list, ", "));
}

struct Sets final {
    std::vector<std::string> bridges;
    // What is no business of the gate: containers, libslirp's name server, multicast.
    std::vector<std::string> inside4{"10.0.2.3", "224.0.0.0/4", "255.255.255.255"};
    std::vector<std::string> inside6{"fd00::3", "fe80::/10", "ff00::/8"};
};

Sets sets_of(std::span<const NetworkSpec> networks) {
    Sets sets;
    for (const NetworkSpec& network : networks) {
        if (is_gated(network)) sets.bridges.push_back(fmt::format("\"{}\"", network.bridge));
        if (!network.subnet.empty()) sets.inside4.push_back(network.subnet);
        if (!network.subnet_v6.empty()) sets.inside6.push_back(network.subnet_v6);
    }
    return sets;
}

std::string tproxy(AddressFamilies families, const std::string& match, std::uint16_t port) {
    const auto rule = [&](const char* target) {
        return fmt::format("    {} tproxy {}:{} meta mark set {:#x} accept\n", match, target, port,
                           kToSocket);
    };
    std::string text = rule("ip to 127.0.0.1");
    if (families == AddressFamilies::both) text += rule("ip6 to [::1]");
    return text;
}

// Without a gate of its own IPv6 is left alone: libslirp's way needs tracking.
std::string ungated_family(AddressFamilies families) {
    return families == AddressFamilies::v4 ? "    meta nfproto ipv6 accept\n" : "";
}

// What is told apart before the gate, in the chains of both priorities.
std::string bystanders(AddressFamilies families) {
    return "    iifname != @gated accept\n"
           "    ip daddr @inside4 accept\n"
           "    ip6 daddr @inside6 accept\n" +
           ungated_family(families);
}

// Protocol 6 is TCP: its name needs /etc/protocols, which a small Debian lacks.
std::string prerouting(AddressFamilies families) {
    std::string text = fmt::format("    meta l4proto != 6 accept\n");
    text += tproxy(families, fmt::format("iifname \"{}\" tcp flags & rst == 0", kGateName),
                   kListenerPort);
    text += bystanders(families);
    // Before the look-up: an opening SYN always asks the gate.
    text += fmt::format(
        "    tcp flags & (fin | syn | rst | ack) == syn meta mark set {:#x} accept\n", kToGate);
    text += tproxy(families, "meta l4proto 6", kNobodysPort);
    text += fmt::format("    meta mark set {:#x} accept\n", kToGate);
    return text;
}

UniqueFd open_device() {
    UniqueFd fd = open_tun_device(kGateName, TunKind::packets);
    // Routes by it stay when the process dies: SYNs are lost then and come again, instead of
    // taking another way.
    if (::ioctl(fd.get(), TUNSETPERSIST, 1) < 0) throw_errno("keeping {}", kGateName);
    return fd;
}

void write_settings(AddressFamilies families) {
    const std::string device = std::string("/conf/") + kGateName;
    // A SYN whose ports still have a socket here (TIME_WAIT) would be given that by early demux and
    // then silently not forwarded. The setting covers IPv6 as well.
    write_sysctl("ipv4/tcp_early_demux", "0", IfAbsent::fail);
    write_sysctl("ipv4" + device + "/rp_filter", "0", IfAbsent::fail);
    // ICMP errors come from a bridge's own address.
    write_sysctl("ipv4" + device + "/accept_local", "1", IfAbsent::fail);
    // No link-local address, so no router solicitations to read.
    if (families == AddressFamilies::both) {
        write_sysctl("ipv6" + device + "/addr_gen_mode", "1", IfAbsent::ignore);
        // Some hosts turn IPv6 off for new interfaces.
        for (const std::string& name : {device, std::string("/conf/lo")})
            write_sysctl("ipv6" + name + "/disable_ipv6", "0", IfAbsent::ignore);
    }
    for (const char* table : {"iptables", "ip6tables"}) {
        const std::string path = fmt::format("/proc/sys/net/bridge/bridge-nf-call-{}", table);
        if (read_file_if_exists(path).value_or("0\n") != "0\n")
            throw Error(ErrorKind::unavailable, "{} cannot be set to 0", path);
    }
}

void set_up_routing(AddressFamilies families) {
    const unsigned device = link_index(kGateName);
    NetlinkBatch batch;
    batch.set_mtu(device, kGateName, kDeviceMtu);
    batch.set_queue_length(device, kGateName, kQueuedPackets);
    batch.set_up(device, kGateName);
    const auto add = [&](IpFamily family) {
        batch.add_mark_rule(family, kToGate);
        batch.add_mark_rule(family, kToSocket);
        batch.add_link_route(family, device, kToGate);
        batch.add_local_route(family, kToSocket);
    };
    add(IpFamily::v4);
    if (families == AddressFamilies::both) add(IpFamily::v6);
    batch.run();
}

UniqueFd listen_transparently(const char* address) {
    const linux_os::SocketAddress local{IpAddress::parse(address), kListenerPort};
    UniqueFd fd{::socket(local.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd) throw_errno("making a socket of {}", address);
    const bool is_v4 = local.family() == AF_INET;
    const int on = 1;
    const auto set = [&](int level, int name) {
        if (::setsockopt(fd.get(), level, name, &on, sizeof on) < 0)
            throw_errno("setting an option of the gate's listener");
    };
    set(SOL_SOCKET, SO_REUSEADDR);
    if (!is_v4) set(SOL_IPV6, IPV6_V6ONLY);
    set(is_v4 ? SOL_IP : SOL_IPV6, is_v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT);
    if (::bind(fd.get(), local.get(), local.length()) < 0 || ::listen(fd.get(), kBacklog) < 0)
        throw_errno("listening on {}", address);
    return fd;
}

}  // namespace

bool is_gated(const NetworkSpec& network) { return !network.internal && network.masquerade; }

std::string egress_ruleset(std::span<const NetworkSpec> networks, AddressFamilies families) {
    const Sets sets = sets_of(networks);
    // Not tracked: connections are not translated here, and a flood of SYNs must not fill the table
    // that other containers' datagrams need.
    return no_egress_ruleset() +
           fmt::format(
               "table inet berth_egress {{\n"
               "  set gated {{ type ifname; {}}}\n"
               "  set inside4 {{ type ipv4_addr; flags interval; auto-merge; {}}}\n"
               "  set inside6 {{ type ipv6_addr; flags interval; auto-merge; {}}}\n"
               "  chain untracked {{\n"
               "    type filter hook prerouting priority raw; policy accept;\n"
               "    iifname \"{}\" notrack accept\n"
               "{}"
               "    meta l4proto 6 notrack\n"
               "  }}\n"
               "  chain untracked_out {{\n"
               "    type filter hook output priority raw; policy accept;\n"
               "    ip saddr @inside4 accept\n"
               "    ip6 saddr @inside6 accept\n"
               "{}"
               "    oifname @gated meta l4proto 6 notrack\n"
               "  }}\n"
               "  chain gate {{\n"
               "    type filter hook prerouting priority mangle; policy accept;\n"
               "{}"
               "  }}\n"
               "}}\n",
               elements(sets.bridges), elements(sets.inside4), elements(sets.inside6), kGateName,
               bystanders(families), ungated_family(families), prerouting(families));
}

std::string no_egress_ruleset() {
    // Adding before deleting makes the deletion work whether or not the table exists.
    return "add table inet berth_egress\n"
           "delete table inet berth_egress\n";
}

GateSockets make_egress_path(AddressFamilies families) {
    GateSockets sockets;
    sockets.device = open_device();
    write_settings(families);
    set_up_routing(families);
    sockets.listener4 = listen_transparently("127.0.0.1");
    if (families == AddressFamilies::both) sockets.listener6 = listen_transparently("::1");
    return sockets;
}

}  // namespace berth::net
