#include "net/listen_probe.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "linux/socket_address.h"

namespace berth::net {
namespace {

UniqueFd diagnosis_socket() {
    UniqueFd fd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)};
    if (!fd) throw_errno("making a socket diagnosis socket");
    return fd;
}

// The kernel announces each TCP socket that is destroyed; the filter keeps those without a peer,
// which listened, so that the connections of the container wake nobody.
UniqueFd closings_socket() {
    constexpr std::uint32_t kPeerPort =
        NLMSG_HDRLEN + offsetof(inet_diag_msg, id) + offsetof(inet_diag_sockid, idiag_dport);
    std::array<sock_filter, 4> program{{{BPF_LD | BPF_H | BPF_ABS, 0, 0, kPeerPort},
                                        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0},
                                        {BPF_RET | BPF_K, 0, 0, 0xffff},
                                        {BPF_RET | BPF_K, 0, 0, 0}}};
    const sock_fprog filter{program.size(), program.data()};
    UniqueFd fd = diagnosis_socket();
    sockaddr_nl self{};
    self.nl_family = AF_NETLINK;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) < 0)
        throw_errno("preparing a socket diagnosis socket");
    for (const int group : {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY})
        if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
            throw_errno("joining a socket diagnosis group");
    return fd;
}

struct Question final {
    nlmsghdr header{};
    inet_diag_req_v2 body{};
};

Question question_of(const IpAddress& address, std::uint16_t port) {
    Question question;
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.body.sdiag_family = address.family == IpFamily::v4 ? AF_INET : AF_INET6;
    question.body.sdiag_protocol = IPPROTO_TCP;
    question.body.idiag_states = ~0U;
    inet_diag_sockid& id = question.body.id;
    id.idiag_sport = htons(port);
    id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    const linux_os::SocketAddress kernel_form{address, port};
    if (address.family == IpFamily::v4)
        std::memcpy(id.idiag_src,
                    &reinterpret_cast<const sockaddr_in*>(kernel_form.get())->sin_addr, 4);
    else
        std::memcpy(id.idiag_src,
                    &reinterpret_cast<const sockaddr_in6*>(kernel_form.get())->sin6_addr, 16);
    return question;
}

// The kernel says "no such socket" also where it lacks tcp_diag: ask for one that is there.
bool can_tell(const ListenProbe& probe) {
    linux_os::SocketAddress address{IpAddress{IpFamily::v4, INADDR_LOOPBACK}, 0};
    socklen_t length = address.length();
    const UniqueFd sample{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!sample || ::bind(sample.get(), address.get(), length) < 0 ||
        ::listen(sample.get(), 1) < 0 || ::getsockname(sample.get(), address.get(), &length) < 0)
        return false;
    return probe.is_listening(address.address(), address.port());
}

}  // namespace

std::optional<ListenProbe> ListenProbe::open(NamespaceThread& executor, Target target) {
    std::optional<ListenProbe> probe;
    try {
        UniqueFd found;
        if (!target.network_namespace) {
            found = open_file(fmt::format("/proc/{}/ns/net", target.process.pid()), O_RDONLY);
            target.network_namespace = found;
            // Still the same process, so the path was its own.
            if (!target.process.alive()) return std::nullopt;
        }
        executor.run_in(target.network_namespace, [&] {
            ListenProbe made(std::move(target.process), diagnosis_socket(), closings_socket());
            if (can_tell(made)) probe.emplace(std::move(made));
        });
    } catch (const Error& error) {
        log::debug("listening servers inside a container cannot be seen: {}", error.message());
    }
    return probe;
}

bool ListenProbe::is_listening(const IpAddress& address, std::uint16_t port) const {
    const Question question = question_of(address, port);
    if (::send(questions_.get(), &question, sizeof question, 0) < 0) return false;
    alignas(nlmsghdr) std::array<char, 2048> answer;
    // The kernel answers within send.
    const ssize_t length = ::recv(questions_.get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (length < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg)))) return false;
    nlmsghdr header;
    std::memcpy(&header, answer.data(), sizeof header);
    if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return false;
    inet_diag_msg found;
    std::memcpy(&found, answer.data() + NLMSG_HDRLEN, sizeof found);
    return found.idiag_state == TCP_LISTEN;
}

void ListenProbe::take_closings() {
    std::array<char, 2048> news;
    // An overrun (ENOBUFS) is news as well: the caller looks at everything anyway.
    while (::recv(closings_.get(), news.data(), news.size(), MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
        continue;
}

}  // namespace berth::net
