#include "net/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "base/error.h"

namespace berth::net {
namespace {

constexpr std::size_t kBatchBytes = 4096;
// Attributes of one message, the longest being a veth pair, stay far below this.
constexpr std::size_t kMessageBytes = 512;

template <typename Header>
Header* extra_header(nlmsghdr* message) {
    return static_cast<Header*>(mnl_nlmsg_put_extra_header(message, sizeof(Header)));
}

std::array<std::uint8_t, 6> mac_bytes(const std::string& text) {
    std::array<unsigned, 6> parts{};
    if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", &parts[0], &parts[1], &parts[2],
                    &parts[3], &parts[4], &parts[5]) != 6)
        throw Error(ErrorKind::invalid, "invalid MAC address: {}", text);
    std::array<std::uint8_t, 6> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(parts[i]);
    return bytes;
}

void put_mac(nlmsghdr* message, const std::string& mac) {
    if (mac.empty()) return;
    const auto bytes = mac_bytes(mac);
    mnl_attr_put(message, IFLA_ADDRESS, bytes.size(), bytes.data());
}

void put_address(nlmsghdr* message, std::uint16_t type, const IpAddress& address) {
    std::array<std::uint8_t, 16> bytes{};
    const std::size_t length = static_cast<std::size_t>(bits_of(address.family)) / 8;
    for (std::size_t i = 0; i < length; ++i)
        bytes[i] = static_cast<std::uint8_t>(address.value >> (8 * (length - 1 - i)));
    mnl_attr_put(message, type, length, bytes.data());
}

int accepted(IfExists if_exists) { return if_exists == IfExists::accept ? EEXIST : 0; }

unsigned char kernel_family(IpFamily family) { return family == IpFamily::v4 ? AF_INET : AF_INET6; }

}  // namespace

unsigned link_index(const std::string& name) { return ::if_nametoindex(name.c_str()); }

NetlinkBatch::NetlinkBatch() : buffer_(kBatchBytes / sizeof(std::uint64_t)) {}

void NetlinkBatch::finish() {
    if (open_) used_ += MNL_ALIGN(open_->nlmsg_len);
    open_ = nullptr;
}

nlmsghdr* NetlinkBatch::begin(std::uint16_t type, std::uint16_t flags, Sent sent) {
    finish();
    if (used_ + kMessageBytes > kBatchBytes)
        throw Error(ErrorKind::internal, "too many netlink requests in one batch");
    open_ = mnl_nlmsg_put_header(reinterpret_cast<char*>(buffer_.data()) + used_);
    open_->nlmsg_type = type;
    open_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    sent_.push_back(std::move(sent));
    open_->nlmsg_seq = static_cast<std::uint32_t>(sent_.size());
    return open_;
}

void NetlinkBatch::add_bridge(const BridgeLink& link) {
    nlmsghdr* message =
        begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, {"making bridge " + link.name, EEXIST});
    auto* header = extra_header<ifinfomsg>(message);
    header->ifi_flags = IFF_UP;
    header->ifi_change = IFF_UP;
    mnl_attr_put_strz(message, IFLA_IFNAME, link.name.c_str());
    mnl_attr_put_u32(message, IFLA_MTU, static_cast<std::uint32_t>(link.mtu));
    // A set address stays; otherwise the bridge takes over that of its newest port.
    put_mac(message, link.mac);
    nlattr* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_str(message, IFLA_INFO_KIND, "bridge");
    mnl_attr_nest_end(message, info);
}

void NetlinkBatch::add_veth(const VethLink& link) {
    nlmsghdr* message =
        begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, {"making interface " + link.name});
    auto* header = extra_header<ifinfomsg>(message);
    header->ifi_flags = IFF_UP;
    header->ifi_change = IFF_UP;
    mnl_attr_put_strz(message, IFLA_IFNAME, link.name.c_str());
    mnl_attr_put_u32(message, IFLA_MTU, static_cast<std::uint32_t>(link.mtu));
    mnl_attr_put_u32(message, IFLA_MASTER, link.bridge_index);
    nlattr* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_str(message, IFLA_INFO_KIND, "veth");
    nlattr* data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
    nlattr* peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
    extra_header<ifinfomsg>(message);
    mnl_attr_put_strz(message, IFLA_IFNAME, link.peer_name.c_str());
    mnl_attr_put_u32(message, IFLA_MTU, static_cast<std::uint32_t>(link.mtu));
    mnl_attr_put_u32(message, IFLA_NET_NS_FD,
                     static_cast<std::uint32_t>(link.peer_namespace.get()));
    put_mac(message, link.peer_mac);
    mnl_attr_nest_end(message, peer);
    mnl_attr_nest_end(message, data);
    mnl_attr_nest_end(message, info);
}

void NetlinkBatch::remove_link(const std::string& name) {
    nlmsghdr* message = begin(RTM_DELLINK, 0, {"removing interface " + name, ENODEV});
    extra_header<ifinfomsg>(message);
    mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
}

void NetlinkBatch::set_up(unsigned index, const std::string& name) {
    nlmsghdr* message = begin(RTM_NEWLINK, 0, {"setting interface " + name + " up"});
    auto* header = extra_header<ifinfomsg>(message);
    header->ifi_index = static_cast<int>(index);
    header->ifi_flags = IFF_UP;
    header->ifi_change = IFF_UP;
}

void NetlinkBatch::set_mtu(unsigned index, const std::string& name, int mtu) {
    nlmsghdr* message = begin(RTM_NEWLINK, 0, {"setting the MTU of interface " + name});
    extra_header<ifinfomsg>(message)->ifi_index = static_cast<int>(index);
    mnl_attr_put_u32(message, IFLA_MTU, static_cast<std::uint32_t>(mtu));
}

void NetlinkBatch::set_queue_length(unsigned index, const std::string& name,
                                    std::uint32_t packets) {
    nlmsghdr* message = begin(RTM_NEWLINK, 0, {"setting the queue of interface " + name});
    extra_header<ifinfomsg>(message)->ifi_index = static_cast<int>(index);
    mnl_attr_put_u32(message, IFLA_TXQLEN, packets);
}

void NetlinkBatch::isolate_port(const std::string& name) {
    nlmsghdr* message = begin(RTM_SETLINK, 0, {"isolating bridge port " + name});
    auto* header = extra_header<ifinfomsg>(message);
    header->ifi_family = AF_BRIDGE;
    header->ifi_index = static_cast<int>(link_index(name));
    nlattr* port = mnl_attr_nest_start(message, IFLA_PROTINFO | NLA_F_NESTED);
    mnl_attr_put_u8(message, IFLA_BRPORT_ISOLATED, 1);
    mnl_attr_nest_end(message, port);
}

void NetlinkBatch::add_address(unsigned index, const Subnet& address, IfExists if_exists) {
    nlmsghdr* message = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
                              {"adding address " + address.str(), accepted(if_exists)});
    auto* header = extra_header<ifaddrmsg>(message);
    header->ifa_family = kernel_family(address.address.family);
    header->ifa_prefixlen = static_cast<unsigned char>(address.prefix);
    header->ifa_index = index;
    // Nobody else is on these links: without duplicate detection the address works at once.
    header->ifa_flags = IFA_F_NODAD;
    put_address(message, IFA_LOCAL, address.address);
    put_address(message, IFA_ADDRESS, address.address);
    if (address.address.family == IpFamily::v4) put_address(message, IFA_BROADCAST, address.last());
}

namespace {

void put_default_route(nlmsghdr* message, IpFamily family) {
    auto* header = extra_header<rtmsg>(message);
    header->rtm_family = kernel_family(family);
    header->rtm_table = RT_TABLE_MAIN;
    header->rtm_protocol = RTPROT_STATIC;
    header->rtm_scope = RT_SCOPE_UNIVERSE;
    header->rtm_type = RTN_UNICAST;
}

void put_route_target(nlmsghdr* message, unsigned index, const IpAddress& gateway) {
    put_address(message, RTA_GATEWAY, gateway);
    mnl_attr_put_u32(message, RTA_OIF, index);
}

}  // namespace

void NetlinkBatch::add_default_route(unsigned index, const IpAddress& gateway, IfExists if_exists) {
    nlmsghdr* message =
        begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
              {"adding the default route via " + gateway.str(), accepted(if_exists)});
    put_default_route(message, gateway.family);
    put_route_target(message, index, gateway);
}

void NetlinkBatch::replace_default_route(unsigned index, const IpAddress& gateway) {
    nlmsghdr* message = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE,
                              {"setting the default route via " + gateway.str()});
    put_default_route(message, gateway.family);
    put_route_target(message, index, gateway);
}

void NetlinkBatch::remove_default_route(IpFamily family) {
    put_default_route(begin(RTM_DELROUTE, 0, {"removing the default route", ESRCH}), family);
}

void NetlinkBatch::add_mark_rule(IpFamily family, std::uint32_t mark) {
    nlmsghdr* message = begin(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL,
                              {fmt::format("adding the routing rule of mark {}", mark), EEXIST});
    auto* header = extra_header<fib_rule_hdr>(message);
    header->family = kernel_family(family);
    header->action = FR_ACT_TO_TBL;
    mnl_attr_put_u32(message, FRA_PRIORITY, mark);
    mnl_attr_put_u32(message, FRA_FWMARK, mark);
    mnl_attr_put_u32(message, FRA_TABLE, mark);
}

void NetlinkBatch::add_local_route(IpFamily family, std::uint32_t table) {
    nlmsghdr* message = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
                              {fmt::format("adding the local route of table {}", table), EEXIST});
    auto* header = extra_header<rtmsg>(message);
    header->rtm_family = kernel_family(family);
    header->rtm_protocol = RTPROT_STATIC;
    header->rtm_scope = RT_SCOPE_HOST;
    header->rtm_type = RTN_LOCAL;
    mnl_attr_put_u32(message, RTA_TABLE, table);
    mnl_attr_put_u32(message, RTA_OIF, link_index("lo"));
}

void NetlinkBatch::add_link_route(IpFamily family, unsigned index, std::uint32_t table) {
    nlmsghdr* message = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
                              {fmt::format("adding the route of table {}", table), EEXIST});
    auto* header = extra_header<rtmsg>(message);
    header->rtm_family = kernel_family(family);
    header->rtm_protocol = RTPROT_STATIC;
    header->rtm_scope = family == IpFamily::v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    header->rtm_type = RTN_UNICAST;
    mnl_attr_put_u32(message, RTA_TABLE, table);
    mnl_attr_put_u32(message, RTA_OIF, index);
}

void NetlinkBatch::check_answer(const nlmsghdr& answer) const {
    if (answer.nlmsg_type != NLMSG_ERROR || answer.nlmsg_seq == 0 ||
        answer.nlmsg_seq > sent_.size())
        throw Error(ErrorKind::internal, "unexpected netlink answer of type {}", answer.nlmsg_type);
    const Sent& sent = sent_[answer.nlmsg_seq - 1];
    const int code = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&answer))->error;
    if (code == 0 || code == sent.accepted_errno) return;
    throw Error::from_errno(code, sent.what);
}

void NetlinkBatch::run() {
    finish();
    if (sent_.empty()) return;
    const UniqueFd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
    if (!socket) throw_errno("making a netlink socket");
    if (::send(socket.get(), buffer_.data(), used_, 0) != static_cast<ssize_t>(used_))
        throw_errno("sending netlink requests");
    std::size_t answered = 0;
    while (answered < sent_.size()) {
        alignas(nlmsghdr) std::array<char, 4096> answer;
        const ssize_t received = ::recv(socket.get(), answer.data(), answer.size(), 0);
        if (received < 0 && errno == EINTR) continue;
        if (received < 0) throw_errno("receiving a netlink answer");
        int left = static_cast<int>(received);
        for (auto* at = reinterpret_cast<nlmsghdr*>(answer.data()); mnl_nlmsg_ok(at, left);
             at = mnl_nlmsg_next(at, &left)) {
            check_answer(*at);
            ++answered;
        }
    }
}

}  // namespace berth::net
