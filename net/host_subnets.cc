#include "net/host_subnets.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <optional>

#include "base/error.h"

namespace berth::net {
namespace {

// A machine with a full routing table of the internet: its own subnets come first.
constexpr std::size_t kMostSubnets = 4096;

struct SocketCloser final {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using Socket = std::unique_ptr<mnl_socket, SocketCloser>;

std::optional<IpFamily> family_of(unsigned char kernel_family) {
    if (kernel_family == AF_INET) return IpFamily::v4;
    if (kernel_family == AF_INET6) return IpFamily::v6;
    return std::nullopt;
}

IpAddress address_of(IpFamily family, const nlattr* attribute) {
    const auto* bytes = static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute));
    IpAddress address{family, 0};
    const auto length = static_cast<unsigned>(bits_of(family) / 8);
    if (mnl_attr_get_payload_len(attribute) < length) return address;
    for (unsigned i = 0; i < length; ++i) address.value = (address.value << 8) | bytes[i];
    return address;
}

struct Search final {
    int wanted = 0;
    const nlattr* found = nullptr;
};

int compare(const nlattr* attribute, void* data) {
    auto& search = *static_cast<Search*>(data);
    if (mnl_attr_get_type(attribute) == search.wanted) search.found = attribute;
    return MNL_CB_OK;
}

/// An attribute behind a header of `header` bytes; null when absent.
const nlattr* find_attribute(const nlmsghdr* message, std::size_t header, int wanted) {
    Search search{wanted};
    mnl_attr_parse(message, static_cast<unsigned>(header), compare, &search);
    return search.found;
}

bool is_local_matter(const Subnet& subnet) {
    static const std::array kLocal{Subnet::parse("127.0.0.0/8"), Subnet::parse("169.254.0.0/16"),
                                   Subnet::parse("224.0.0.0/4"), Subnet::parse("::1/128"),
                                   Subnet::parse("fe80::/10"),   Subnet::parse("ff00::/8")};
    for (const Subnet& local : kLocal)
        if (local.contains(subnet.address) && subnet.prefix >= local.prefix) return true;
    return false;
}

std::optional<Subnet> route_from(const nlmsghdr* message) {
    const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
    const auto family = family_of(route->rtm_family);
    if (!family || route->rtm_type != RTN_UNICAST || route->rtm_dst_len == 0) return std::nullopt;
    const nlattr* destination = find_attribute(message, sizeof(rtmsg), RTA_DST);
    if (!destination) return std::nullopt;
    return Subnet{address_of(*family, destination), route->rtm_dst_len}.network();
}

std::optional<Subnet> interface_from(const nlmsghdr* message) {
    const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(message));
    const auto family = family_of(header->ifa_family);
    const nlattr* address = find_attribute(message, sizeof(ifaddrmsg), IFA_ADDRESS);
    if (!family || !address) return std::nullopt;
    return Subnet{address_of(*family, address), header->ifa_prefixlen}.network();
}

int take(const nlmsghdr* message, void* into) {
    auto& subnets = *static_cast<std::vector<Subnet>*>(into);
    const bool is_route = message->nlmsg_type == RTM_NEWROUTE;
    if (!is_route && message->nlmsg_type != RTM_NEWADDR) return MNL_CB_OK;
    const auto subnet = is_route ? route_from(message) : interface_from(message);
    if (subnet && !is_local_matter(*subnet) && subnets.size() < kMostSubnets)
        subnets.push_back(*subnet);
    return MNL_CB_OK;
}

void dump(std::uint16_t type, std::vector<Subnet>& into) {
    const Socket socket(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC));
    if (!socket) throw_errno("making a netlink socket");
    std::vector<std::uint64_t> buffer(32768 / sizeof(std::uint64_t));
    nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
    request->nlmsg_type = type;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request->nlmsg_seq = 1;
    static_cast<rtgenmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(rtgenmsg)))->rtgen_family =
        AF_UNSPEC;
    if (mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0)
        throw_errno("asking for the host's addresses");
    for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
        const ssize_t received =
            mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size() * sizeof(std::uint64_t));
        if (received < 0) throw_errno("reading the host's addresses");
        more = mnl_cb_run(buffer.data(), static_cast<std::size_t>(received), 1, 0, take, &into);
        if (more < 0) throw_errno("reading the host's addresses");
    }
}

}  // namespace

std::vector<Subnet> host_subnets() {
    std::vector<Subnet> subnets;
    dump(RTM_GETADDR, subnets);
    dump(RTM_GETROUTE, subnets);
    return subnets;
}

}  // namespace berth::net
