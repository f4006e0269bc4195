#include "net/port_redirect.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace berth::net {
namespace {

constexpr std::size_t kBufferBytes = 8192;
constexpr const char* kChain = "output";
constexpr std::uint32_t kDestinationNatPriority = static_cast<std::uint32_t>(-100);
// Where the packet has what: linux/ip.h, and the same place in UDP and TCP headers.
constexpr std::uint32_t kDestinationAddressOffset = 16;
constexpr std::uint32_t kDestinationPortOffset = 2;

/// Requests between the begin and the end that make them one transaction.
class Transaction final {
  public:
    Transaction() : buffer_(kBufferBytes / sizeof(std::uint64_t)) {
        begin(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    }

    nlmsghdr* add(int type, int flags) {
        ++requests_;
        return begin(static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type),
                     NLM_F_REQUEST | NLM_F_ACK | flags, NFPROTO_IPV4, 0);
    }

    void commit() {
        begin(NFNL_MSG_BATCH_END, NLM_F_REQUEST, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
        finish();
        const UniqueFd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)};
        if (!socket) throw_errno("making a netfilter socket");
        if (::send(socket.get(), buffer_.data(), used_, 0) != static_cast<ssize_t>(used_))
            throw_errno("sending nftables requests");
        while (answered_ < requests_) read_answers(socket);
    }

  private:
    nlmsghdr* begin(std::uint16_t type, int flags, int family, std::uint16_t resource) {
        finish();
        open_ = mnl_nlmsg_put_header(reinterpret_cast<char*>(buffer_.data()) + used_);
        open_->nlmsg_type = type;
        open_->nlmsg_flags = static_cast<std::uint16_t>(flags);
        auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(open_, sizeof(nfgenmsg)));
        header->nfgen_family = static_cast<std::uint8_t>(family);
        header->version = NFNETLINK_V0;
        header->res_id = htons(resource);
        return open_;
    }

    void finish() {
        if (open_ != nullptr) used_ += MNL_ALIGN(open_->nlmsg_len);
        open_ = nullptr;
        if (used_ > kBufferBytes / 2)
            throw Error(ErrorKind::internal, "too many nftables requests");
    }

    void read_answers(BorrowedFd socket) {
        alignas(nlmsghdr) std::array<char, 4096> answer;
        const ssize_t received = ::recv(socket.get(), answer.data(), answer.size(), 0);
        if (received < 0 && errno == EINTR) return;
        if (received < 0) throw_errno("receiving an nftables answer");
        int left = static_cast<int>(received);
        for (auto* at = reinterpret_cast<nlmsghdr*>(answer.data()); mnl_nlmsg_ok(at, left);
             at = mnl_nlmsg_next(at, &left)) {
            if (at->nlmsg_type != NLMSG_ERROR) continue;
            const int error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(at))->error;
            if (error != 0) throw Error::from_errno(-error, "loading nftables rules");
            ++answered_;
        }
    }

    std::vector<std::uint64_t> buffer_;
    std::size_t used_ = 0;
    nlmsghdr* open_ = nullptr;
    int requests_ = 0;
    int answered_ = 0;
};

/// An expression of a rule: its name and what `fill` puts into its data.
template <typename Fill>
void put_expression(nlmsghdr* rule, const char* name, Fill fill) {
    nlattr* element = mnl_attr_nest_start(rule, NFTA_LIST_ELEM);
    mnl_attr_put_strz(rule, NFTA_EXPR_NAME, name);
    nlattr* data = mnl_attr_nest_start(rule, NFTA_EXPR_DATA);
    fill();
    mnl_attr_nest_end(rule, data);
    mnl_attr_nest_end(rule, element);
}

void put_number(nlmsghdr* rule, int attribute, std::uint32_t number) {
    mnl_attr_put_u32(rule, static_cast<std::uint16_t>(attribute), htonl(number));
}

void put_payload(nlmsghdr* rule, std::uint32_t base, std::uint32_t offset, std::uint32_t length) {
    put_expression(rule, "payload", [&] {
        put_number(rule, NFTA_PAYLOAD_DREG, NFT_REG_1);
        put_number(rule, NFTA_PAYLOAD_BASE, base);
        put_number(rule, NFTA_PAYLOAD_OFFSET, offset);
        put_number(rule, NFTA_PAYLOAD_LEN, length);
    });
}

/// Bytes in network order, in an attribute of their own.
template <typename Value>
void put_value(nlmsghdr* rule, int attribute, Value in_network_order) {
    nlattr* data = mnl_attr_nest_start(rule, static_cast<std::uint16_t>(attribute));
    mnl_attr_put(rule, NFTA_DATA_VALUE, sizeof in_network_order, &in_network_order);
    mnl_attr_nest_end(rule, data);
}

template <typename Value>
void put_comparison(nlmsghdr* rule, Value in_network_order) {
    put_expression(rule, "cmp", [&] {
        put_number(rule, NFTA_CMP_SREG, NFT_REG_1);
        put_number(rule, NFTA_CMP_OP, NFT_CMP_EQ);
        put_value(rule, NFTA_CMP_DATA, in_network_order);
    });
}

template <typename Value>
void put_immediate(nlmsghdr* rule, std::uint32_t target, Value in_network_order) {
    put_expression(rule, "immediate", [&] {
        put_number(rule, NFTA_IMMEDIATE_DREG, target);
        put_value(rule, NFTA_IMMEDIATE_DATA, in_network_order);
    });
}

void put_nat(nlmsghdr* rule) {
    put_expression(rule, "nat", [&] {
        put_number(rule, NFTA_NAT_TYPE, NFT_NAT_DNAT);
        put_number(rule, NFTA_NAT_FAMILY, NFPROTO_IPV4);
        put_number(rule, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
        put_number(rule, NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
    });
}

/// ip daddr ADDRESS PROTOCOL dport PORT dnat to ADDRESS:TARGET
void add_rule(Transaction& transaction, const PortRedirect& redirect, std::uint8_t protocol,
              std::uint16_t target) {
    const std::uint32_t address = htonl(static_cast<std::uint32_t>(redirect.address.value));
    nlmsghdr* rule = transaction.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    mnl_attr_put_strz(rule, NFTA_RULE_TABLE, redirect.table.c_str());
    mnl_attr_put_strz(rule, NFTA_RULE_CHAIN, kChain);
    nlattr* expressions = mnl_attr_nest_start(rule, NFTA_RULE_EXPRESSIONS);
    put_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, kDestinationAddressOffset, sizeof address);
    put_comparison(rule, address);
    put_expression(rule, "meta", [&] {
        put_number(rule, NFTA_META_DREG, NFT_REG_1);
        put_number(rule, NFTA_META_KEY, NFT_META_L4PROTO);
    });
    put_comparison(rule, protocol);
    put_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, kDestinationPortOffset, sizeof target);
    put_comparison(rule, htons(redirect.port));
    put_immediate(rule, NFT_REG_1, address);
    put_immediate(rule, NFT_REG_2, htons(target));
    put_nat(rule);
    mnl_attr_nest_end(rule, expressions);
}

void add_table(Transaction& transaction, const std::string& name) {
    // Adding before deleting makes the deletion work whether or not the table exists.
    for (const int type : {NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE}) {
        nlmsghdr* message =
            transaction.add(type, type == NFT_MSG_NEWTABLE ? static_cast<int>(NLM_F_CREATE) : 0);
        mnl_attr_put_strz(message, NFTA_TABLE_NAME, name.c_str());
    }
}

void add_chain(Transaction& transaction, const std::string& table) {
    nlmsghdr* chain = transaction.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    mnl_attr_put_strz(chain, NFTA_CHAIN_TABLE, table.c_str());
    mnl_attr_put_strz(chain, NFTA_CHAIN_NAME, kChain);
    nlattr* hook = mnl_attr_nest_start(chain, NFTA_CHAIN_HOOK);
    put_number(chain, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
    put_number(chain, NFTA_HOOK_PRIORITY, kDestinationNatPriority);
    mnl_attr_nest_end(chain, hook);
    mnl_attr_put_strz(chain, NFTA_CHAIN_TYPE, "nat");
    put_number(chain, NFTA_CHAIN_POLICY, NF_ACCEPT);
}

}  // namespace

void load_redirect(const PortRedirect& redirect) {
    Transaction transaction;
    add_table(transaction, redirect.table);
    add_chain(transaction, redirect.table);
    add_rule(transaction, redirect, IPPROTO_UDP, redirect.udp_port);
    add_rule(transaction, redirect, IPPROTO_TCP, redirect.tcp_port);
    transaction.commit();
}

}  // namespace berth::net
