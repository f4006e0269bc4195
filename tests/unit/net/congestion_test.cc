#include "net/congestion.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "base/error.h"
#include "linux/socket_address.h"

namespace berth::net {
namespace {

std::string congestion_control_of(BorrowedFd socket) {
    std::array<char, 16> name{};
    socklen_t length = name.size();
    ::getsockopt(socket.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(), &length);
    return name.data();
}

// As on a host whose standard is bbr; empty where this kernel has none.
UniqueFd pacing_socket() {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (::setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, "bbr", 3) < 0) fd.reset();
    return fd;
}

TEST(congestion, a_connection_within_the_host_does_not_pace) {
    const UniqueFd client = pacing_socket();
    if (!client) GTEST_SKIP() << "this kernel has no bbr, or lets no plain user choose it";
    const UniqueFd server{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    linux_os::SocketAddress address{IpAddress::parse("127.0.0.1"), 0};
    socklen_t length = linux_os::SocketAddress::capacity();
    ASSERT_EQ(::bind(server.get(), address.get(), address.length()), 0);
    ASSERT_EQ(::listen(server.get(), 1), 0);
    ASSERT_EQ(::getsockname(server.get(), address.get(), &length), 0);
    ASSERT_EQ(::connect(client.get(), address.get(), address.length()), 0);
    stop_pacing_within_host(client);
    EXPECT_NE(congestion_control_of(client), "bbr");
}

TEST(congestion, without_a_connection_the_hosts_choice_stays) {
    const UniqueFd socket = pacing_socket();
    if (!socket) GTEST_SKIP() << "this kernel has no bbr, or lets no plain user choose it";
    stop_pacing_within_host(socket);
    EXPECT_EQ(congestion_control_of(socket), "bbr");
}

}  // namespace
}  // namespace berth::net
