#include "net/host_resolvers.h"

#include <gtest/gtest.h>

namespace berth::net {
namespace {

std::vector<std::string> texts(std::string_view resolv_conf) {
    std::vector<std::string> list;
    for (const linux_os::SocketAddress& resolver : parse_resolvers(resolv_conf))
        list.push_back(resolver.address().str());
    return list;
}

using Texts = std::vector<std::string>;

TEST(HostResolvers, AreTheNameserverLines) {
    EXPECT_EQ(texts("# nameserver 9.9.9.9\nsearch lan\nnameserver 127.0.0.53\n"
                    " nameserver\t2001:db8::53 # comment\noptions edns0"),
              (Texts{"127.0.0.53", "2001:db8::53"}));
}

TEST(HostResolvers, AreThreeAtMost) {
    EXPECT_EQ(texts("nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\n"
                    "nameserver 4.4.4.4\n"),
              (Texts{"1.1.1.1", "2.2.2.2", "3.3.3.3"}));
}

TEST(HostResolvers, WithoutAnyTheLocalOneIsMeant) {
    EXPECT_EQ(texts(""), Texts{"127.0.0.1"});
    EXPECT_EQ(texts("nameserver nonsense\nnameserver\n"), Texts{"127.0.0.1"});
}

TEST(HostResolvers, AddressesOfALinkNameIt) {
    EXPECT_EQ(texts("nameserver fe80::1%lo\n"), Texts{"fe80::1"});
}

}  // namespace
}  // namespace berth::net
