#include "net/container_side.h"

#include <net/if.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "net/egress_path.h"
#include "net/firewall.h"
#include "net/ipam.h"
#include "net/netlink.h"
#include "net/sysctl.h"
#include "net/tun_device.h"

namespace berth::net {
namespace {

constexpr std::size_t kMaxInterfaceName = IFNAMSIZ - 1;

// The tap's addresses are libslirp's conventions: .2 is the host's side, .3 its name server.
struct TapAddresses final {
    Subnet v4 = Subnet::parse("10.0.2.100/24");
    IpAddress v4_gateway = IpAddress::parse("10.0.2.2");
    Subnet v6 = Subnet::parse("fd00::100/64");
    IpAddress v6_gateway = IpAddress::parse("fd00::2");
};

void write_sysctls() {
    write_sysctl("ipv4/ip_forward", "1", IfAbsent::fail);
    write_sysctl("ipv6/conf/all/forwarding", "1", IfAbsent::ignore);
    write_sysctl("ipv4/conf/all/rp_filter", "0", IfAbsent::ignore);
    write_sysctl("ipv4/conf/default/rp_filter", "0", IfAbsent::ignore);
    write_sysctl("ipv4/ping_group_range", "0 0", IfAbsent::ignore);
    // What comes from the tap has no verified checksum: tracking would read all of it once more.
    write_sysctl("netfilter/nf_conntrack_checksum", "0", IfAbsent::ignore);
    // Where br_netfilter is loaded these default to 1 in each namespace, and bridged frames would
    // run through the rules for routed ones.
    for (const char* table : {"iptables", "ip6tables", "arptables"})
        write_sysctl(std::string("bridge/bridge-nf-call-") + table, "0", IfAbsent::ignore);
}

void configure_tap(const ProcessConfig& config) {
    const TapAddresses addresses;
    const unsigned index = link_index(kTapName);
    NetlinkBatch batch;
    batch.set_up(link_index("lo"), "lo");
    batch.set_mtu(index, kTapName, config.tap_mtu);
    batch.set_up(index, kTapName);
    batch.add_address(index, addresses.v4, IfExists::accept);
    batch.add_default_route(index, addresses.v4_gateway, IfExists::accept);
    if (config.tap_ipv6 && exists("/proc/sys/net/ipv6")) {
        batch.add_address(index, addresses.v6, IfExists::accept);
        batch.add_default_route(index, addresses.v6_gateway, IfExists::accept);
    }
    batch.run();
}

int mtu_of(const NetworkSpec& network) { return network.mtu > 0 ? network.mtu : kFastMtu; }

// In the container's network namespace, where the veth's peer lies already.
void configure_interface(const Attachment& attachment) {
    const std::string& name = attachment.interface;
    if (attachment.address_v6.empty()) {
        write_sysctl("ipv6/conf/" + name + "/disable_ipv6", "1", IfAbsent::ignore);
    } else {
        // The engine says what the routes are; a neighbour must not.
        write_sysctl("ipv6/conf/" + name + "/accept_ra", "0", IfAbsent::ignore);
    }
    // Neighbours that remember the address with another MAC are told at once.
    write_sysctl("ipv4/conf/" + name + "/arp_notify", "1", IfAbsent::ignore);
    const unsigned index = link_index(name);
    NetlinkBatch batch;
    batch.set_up(link_index("lo"), "lo");
    if (!attachment.address.empty())
        batch.add_address(index, Subnet::parse(attachment.address), IfExists::accept);
    if (!attachment.address_v6.empty())
        batch.add_address(index, Subnet::parse(attachment.address_v6), IfExists::accept);
    batch.set_up(index, name);
    if (attachment.default_route && !attachment.gateway.empty())
        batch.add_default_route(index, IpAddress::parse(attachment.gateway), IfExists::fail);
    if (attachment.default_route && !attachment.gateway_v6.empty())
        batch.add_default_route(index, IpAddress::parse(attachment.gateway_v6), IfExists::fail);
    batch.run();
    for (const auto& [setting, value] : attachment.sysctls)
        write_sysctl(setting, value, IfAbsent::fail);
}

void remove_link_if_there(const std::string& name) {
    if (link_index(name) == 0) return;
    NetlinkBatch batch;
    batch.remove_link(name);
    batch.run();
}

// Parsed before anything is made, so that a bad request changes nothing.
void check_attachment(const Attachment& attachment) {
    if (attachment.address.empty() && attachment.address_v6.empty())
        throw Error(ErrorKind::invalid, "an attachment without an address");
    if (!attachment.address.empty()) Subnet::parse(attachment.address);
    if (!attachment.address_v6.empty()) Subnet::parse(attachment.address_v6);
    if (!attachment.gateway.empty()) IpAddress::parse(attachment.gateway);
    if (!attachment.gateway_v6.empty()) IpAddress::parse(attachment.gateway_v6);
    if (!attachment.mac.empty()) check_mac(attachment.mac);
    if (attachment.interface.empty() || attachment.interface.size() > kMaxInterfaceName ||
        attachment.interface.find('/') != std::string::npos)
        throw Error(ErrorKind::invalid, "invalid interface name {}", attachment.interface);
    for (const auto& [setting, value] : attachment.sysctls)
        if (setting.find("..") != std::string::npos || setting.starts_with('/'))
            throw Error(ErrorKind::invalid, "invalid setting {}", setting);
}

}  // namespace

std::string port_name(const std::string& container, const std::string& network_id) {
    const std::uint64_t hash = fnv1a(container + "/" + network_id);
    return fmt::format("veth{:011x}", hash & 0xfff'ffff'ffff);
}

UniqueFd ContainerSide::prepare(const ProcessConfig& config) {
    UniqueFd tap;
    thread_.run([&] {
        write_sysctls();
        tap = open_tun_device(kTapName, TunKind::frames);
        configure_tap(config);
    });
    return tap;
}

void ContainerSide::ensure_bridge(const NetworkSpec& network) {
    if (network.bridge.empty() || network.bridge.size() > kMaxInterfaceName ||
        network.bridge.find_first_of("/\" \n") != std::string::npos)
        throw Error(ErrorKind::invalid, "invalid bridge name {}", network.bridge);
    if (network.bridge == "lo" || network.bridge == kTapName || network.bridge == kGateName)
        throw Error(ErrorKind::denied, "interface {} is not a bridge", network.bridge);
    thread_.run([&] {
        if (link_index(network.bridge) == 0) {
            NetlinkBatch batch;
            batch.add_bridge({network.bridge, random_mac(), mtu_of(network)});
            batch.run();
        }
        const unsigned index = link_index(network.bridge);
        NetlinkBatch batch;
        const auto add = [&](const std::string& subnet, const std::string& gateway) {
            if (subnet.empty() || gateway.empty()) return;
            batch.add_address(index, {IpAddress::parse(gateway), Subnet::parse(subnet).prefix},
                              IfExists::accept);
        };
        add(network.subnet, network.gateway);
        add(network.subnet_v6, network.gateway_v6);
        batch.set_up(index, network.bridge);
        batch.run();
    });
}

void ContainerSide::remove_bridge(const std::string& name) {
    thread_.run([&] { remove_link_if_there(name); });
}

void ContainerSide::remove_bridges_except(const std::set<std::string>& names) {
    const auto is_chosen = [](std::string_view name) {
        return name.starts_with("br-") && name.size() == 15 &&
               name.find_first_not_of("0123456789abcdef", 3) == std::string_view::npos;
    };
    thread_.run([&] {
        struct if_nameindex* const all = ::if_nameindex();
        if (all == nullptr) throw_errno("listing interfaces");
        std::vector<std::string> lost;
        for (const auto* one = all; one->if_index != 0; ++one)
            if (is_chosen(one->if_name) && !names.contains(one->if_name))
                lost.emplace_back(one->if_name);
        ::if_freenameindex(all);
        for (const std::string& name : lost) remove_link_if_there(name);
    });
}

void ContainerSide::apply_firewall(std::span<const NetworkSpec> networks) {
    load_rules(ruleset(networks, kTapName));
}

void ContainerSide::load_rules(const std::string& text) {
    thread_.run([&] { apply_ruleset(text); });
}

void ContainerSide::attach(const NetworkSpec& network, const Attachment& attachment,
                           BorrowedFd network_namespace) {
    check_attachment(attachment);
    const VethLink link{.name = port_name(attachment.container, attachment.network_id),
                        .bridge_index = 0,
                        .mtu = mtu_of(network),
                        .peer_name = attachment.interface,
                        .peer_mac = attachment.mac,
                        .peer_namespace = network_namespace};
    thread_.run([&] {
        // A namespace is destroyed some time after its last process: the previous run of the same
        // container may have left its pair.
        remove_link_if_there(link.name);
        VethLink placed = link;
        placed.bridge_index = link_index(network.bridge);
        NetlinkBatch pair;
        pair.add_veth(placed);
        pair.run();
        if (network.icc) return;
        NetlinkBatch isolation;
        isolation.isolate_port(link.name);
        isolation.run();
    });
    try {
        thread_.run_in(network_namespace, [&] { configure_interface(attachment); });
    } catch (...) {
        thread_.run([&] { remove_link_if_there(link.name); });
        throw;
    }
}

void ContainerSide::set_default_route(const SetDefaultRoute& route, BorrowedFd network_namespace) {
    const auto replace = [](const std::string& gateway, const std::string& interface,
                            IpFamily family) {
        NetlinkBatch batch;
        if (gateway.empty()) {
            batch.remove_default_route(family);
        } else {
            const unsigned index = link_index(interface);
            if (index == 0) throw Error(ErrorKind::not_found, "no interface {}", interface);
            batch.replace_default_route(index, IpAddress::parse(gateway));
        }
        batch.run();
    };
    thread_.run_in(network_namespace, [&] {
        replace(route.gateway, route.interface, IpFamily::v4);
        if (exists("/proc/sys/net/ipv6"))
            replace(route.gateway_v6, route.interface_v6, IpFamily::v6);
    });
}

void ContainerSide::set_loopback_up(BorrowedFd network_namespace) {
    thread_.run_in(network_namespace, [] {
        NetlinkBatch batch;
        batch.set_up(link_index("lo"), "lo");
        batch.run();
    });
}

bool ContainerSide::is_inside(const std::string& interface, BorrowedFd network_namespace) {
    bool found = false;
    thread_.run_in(network_namespace, [&] { found = link_index(interface) != 0; });
    return found;
}

bool ContainerSide::is_attached(const Attachment& attachment) {
    bool found = false;
    thread_.run(
        [&] { found = link_index(port_name(attachment.container, attachment.network_id)) != 0; });
    return found;
}

void ContainerSide::remove_interface(const std::string& container, const std::string& network_id) {
    thread_.run([&] { remove_link_if_there(port_name(container, network_id)); });
}

}  // namespace berth::net
