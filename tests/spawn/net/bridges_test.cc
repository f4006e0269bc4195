// Several networks: islands, internal ones, both families, routes that move, what is left over.
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "linux/socket_address.h"
#include "net/netlink.h"
#include "network_world.h"

namespace berth::net {
namespace {

NetworkSpec second_network() {
    return {.id = "net1",
            .name = "other",
            .bridge = "br-other",
            .subnet = "172.18.0.0/16",
            .gateway = "172.18.0.1",
            .subnet_v6 = "fd18::/64",
            .gateway_v6 = "fd18::1"};
}

Attachment on_second(const std::string& id, int last) {
    return {.container = id,
            .network_id = "net1",
            .interface = "eth1",
            .address = fmt::format("172.18.0.{}/16", last),
            .address_v6 = fmt::format("fd18::{}/64", last)};
}

/// A server in `box` that greets one client.
Child greeter(const Container& box, const std::string& address) {
    return box.run([address] {
        const UniqueFd listener = listen_tcp(address, 80);
        return send_text(accept_one(listener), "hello") ? 0 : 1;
    });
}

/// 0 when a client in `box` is greeted.
int ask(const Container& box, const std::string& address) {
    return box
        .run([address] {
            for (int tries = 0; tries < 2000; ++tries) {
                const Connection connection = connect_to(Transport::tcp, address, 80);
                if (connection.error == ECONNREFUSED) continue;  // it does not listen yet
                if (connection.error != 0) return connection.error;
                return receive_all(connection.socket) == "hello" ? 0 : 1;
            }
            return ECONNREFUSED;
        })
        .wait();
}

/// True when a connection from `box` neither comes about within a moment nor is refused.
bool is_cut_off(const Container& box, const std::string& address, std::uint16_t port) {
    return box.run([address, port] {
                  const linux_os::SocketAddress target{IpAddress::parse(address), port};
                  const UniqueFd fd{
                      ::socket(target.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
                  if (::connect(fd.get(), target.get(), target.length()) == 0) return 1;
                  if (errno == ENETUNREACH) return 0;
                  if (errno != EINPROGRESS) return 2;
                  constexpr int kMomentMs = 700;
                  pollfd polled{fd.get(), POLLOUT, 0};
                  if (::poll(&polled, 1, kMomentMs) == 0) return 0;
                  int error = 0;
                  socklen_t size = sizeof error;
                  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
                  return error == 0 || error == ECONNREFUSED ? 1 : 0;
              })
               .wait() == 0;
}

bool has_interface(const Container& box, const std::string& name) {
    return box.run([name] { return link_index(name) == 0 ? 1 : 0; }).wait() == 0;
}

rlim_t first_free_descriptor(pid_t pid) {
    rlim_t free = 0;
    struct stat found;
    while (::lstat(fmt::format("/proc/{}/fd/{}", pid, free).c_str(), &found) == 0) ++free;
    return free;
}

class Bridges : public NetworkWorld {};

TEST_F(Bridges, ContainersOfOneNetworkReachEachOtherInBothFamilies) {
    ensure(second_network());
    const Container one = container("c1");
    const Container two = container("c2");
    client().attach(on_second("c1", 2), one.network_namespace());
    client().attach(on_second("c2", 3), two.network_namespace());
    for (const char* address : {"172.18.0.3", "fd18::3"}) {
        Child server = greeter(two, address);
        EXPECT_EQ(ask(one, address), 0) << address;
        EXPECT_EQ(server.wait(), 0);
    }
}

TEST_F(Bridges, NetworksAreIslands) {
    const Container one = attached_container("c1", 2);
    ensure(second_network());
    const Container two = container("c2");
    client().attach(on_second("c2", 3), two.network_namespace());
    EXPECT_TRUE(is_cut_off(one, "172.18.0.3", 80));
}

TEST_F(Bridges, AContainerOnTwoNetworksReachesBoth) {
    const Container middle = attached_container("c1", 2);
    const Container one = attached_container("c2", 3);
    ensure(second_network());
    const Container two = container("c3");
    client().attach(on_second("c3", 3), two.network_namespace());
    client().attach(on_second("c1", 2), middle.network_namespace());
    Child first = greeter(one, "172.17.0.3");
    EXPECT_EQ(ask(middle, "172.17.0.3"), 0);
    Child second = greeter(two, "172.18.0.3");
    EXPECT_EQ(ask(middle, "172.18.0.3"), 0);
}

TEST_F(Bridges, AnInternalNetworkHasNoWayOutEvenWithARoute) {
    NetworkSpec internal = default_network();
    internal.internal = true;
    ensure(internal);
    const Container box = container("c1");
    client().attach(attachment("c1", 2), box.network_namespace());
    const UniqueFd outside = listen_tcp(kHostAddress, 0);
    EXPECT_TRUE(is_cut_off(box, kHostAddress, port_of(outside)));
}

TEST_F(Bridges, WithoutIccContainersDoNotReachEachOther) {
    NetworkSpec apart = default_network();
    apart.icc = false;
    ensure(apart);
    const Container one = container("c1");
    const Container two = container("c2");
    client().attach(attachment("c1", 2), one.network_namespace());
    client().attach(attachment("c2", 3), two.network_namespace());
    EXPECT_TRUE(is_cut_off(one, "172.17.0.3", 80));
}

TEST_F(Bridges, TheDefaultRouteMoves) {
    const Container box = attached_container("c1", 2);
    ensure(second_network());
    client().attach(on_second("c1", 2), box.network_namespace());
    const UniqueFd outside = listen_tcp(kHostAddress, 0);
    const auto reaches_outside = [&] {
        return box.run([&] {
                      return connect_to(Transport::tcp, kHostAddress, port_of(outside)).error;
                  })
                   .wait() == 0;
    };
    client().set_default_route({"c1", "172.18.0.1", "eth1", "fd18::1", "eth1"},
                               box.network_namespace());
    client().detach({"c1", "net0", true});
    EXPECT_TRUE(reaches_outside());
    client().set_default_route({"c1", "", "", "", ""}, box.network_namespace());
    EXPECT_FALSE(reaches_outside());
}

TEST_F(Bridges, ADisconnectTakesTheInterfaceAway) {
    const Container box = attached_container("c1", 2);
    EXPECT_TRUE(has_interface(box, "eth0"));
    client().detach({"c1", "net0", true});
    EXPECT_FALSE(has_interface(box, "eth0"));
}

TEST_F(Bridges, TellingAnAttachmentAgainKeepsTheInterface) {
    const Container box = attached_container("c1", 2);
    const auto index = [&] { return box.run([] { return int(link_index("eth0")); }).wait(); };
    const int before = index();
    Attachment renamed = attachment("c1", 2);
    renamed.names = {"new-name"};
    client().attach(renamed, box.network_namespace());
    EXPECT_EQ(index(), before);
    EXPECT_EQ(client().state().attachments.at(0).names, renamed.names);
}

TEST_F(Bridges, WhatTheEngineDoesNotKnowGoes) {
    const Container known = attached_container("c1", 2);
    const Container stranger = attached_container("c2", 3);
    ensure(second_network());
    publish(stranger, {.host_ip = "127.0.0.1", .container_ip = "172.17.0.3", .container_port = 80});
    client().keep({{"net0"}, {"c1"}});
    const NetworkState state = client().state();
    ASSERT_EQ(state.networks.size(), 1U);
    EXPECT_EQ(state.networks[0].id, "net0");
    ASSERT_EQ(state.attachments.size(), 1U);
    EXPECT_EQ(state.attachments[0].container, "c1");
    EXPECT_TRUE(state.bindings.empty());
}

TEST_F(Bridges, ReleaseGivesBackPortsAndAttachments) {
    const Container box = attached_container("c1", 2);
    const auto bound =
        publish(box, {.host_ip = "127.0.0.1", .container_ip = "172.17.0.2", .container_port = 80});
    client().release({"c1"});
    EXPECT_TRUE(client().state().attachments.empty());
    EXPECT_TRUE(client().state().bindings.empty());
    EXPECT_NO_THROW(listen_tcp("127.0.0.1", bound[0].host_port));
}

TEST_F(Bridges, ReleaseTakesTheInterfacesOutOfANamespaceThatLivesOn) {
    const Container box = attached_container("c1", 2);
    client().release({"c1", true});
    EXPECT_FALSE(has_interface(box, "eth0"));
}

TEST_F(Bridges, ACrashLosesNoNetwork) {
    ensure(default_network());
    ensure(second_network());
    const Container box = container("c1");
    client().attach(on_second("c1", 2), box.network_namespace());
    crash_network();
    start_network();
    EXPECT_EQ(client().state().networks.size(), 2U);
    EXPECT_EQ(client().state().attachments.size(), 1U);
    const Container other = container("c2");
    client().attach(on_second("c2", 3), other.network_namespace());
    Child server = greeter(box, "172.18.0.2");
    EXPECT_EQ(ask(other, "172.18.0.2"), 0);
}

TEST_F(Bridges, NetworksComeAndGoWithoutATrace) {
    const auto links = [&] {
        return Child::run([&] {
                   if (::setns(holder_->process().fd().get(), CLONE_NEWUSER | CLONE_NEWNET) < 0)
                       return 250;
                   int count = 0;
                   struct if_nameindex* all = ::if_nameindex();
                   for (auto* at = all; at && at->if_index != 0; ++at) ++count;
                   ::if_freenameindex(all);
                   return count;
               })
            .wait();
    };
    const Container box = container("c1");
    const int before = links();
    for (int i = 0; i < 100; ++i) {
        ensure(second_network());
        client().attach(on_second("c1", 2), box.network_namespace());
        client().detach({"c1", "net1", true});
        client().remove_network("net1");
    }
    EXPECT_EQ(links(), before);
    EXPECT_TRUE(client().state().networks.empty());
}

TEST_F(Bridges, DevicesThatAreNoBridgesAreRefused) {
    for (const char* name : {"lo", "tap0", "gate0"}) {
        NetworkSpec spec = second_network();
        spec.bridge = name;
        EXPECT_NE(error_of([&] { ensure(spec); }), "") << name;
    }
    EXPECT_TRUE(client().state().networks.empty());
}

TEST_F(Bridges, AnInterfaceThatWentByItselfIsRemoved) {
    NetlinkBatch batch;
    batch.remove_link("gone");
    EXPECT_EQ(error_of([&] { batch.run(); }), "");
}

TEST_F(Bridges, ARemovalThatFailsChangesNothing) {
    ensure(default_network());
    rlimit before{};
    ASSERT_EQ(::prlimit(network_.pid(), RLIMIT_NOFILE, nullptr, &before), 0);
    // No pipe for the program that loads the rules.
    const rlimit full{first_free_descriptor(network_.pid()), before.rlim_max};
    ASSERT_EQ(::prlimit(network_.pid(), RLIMIT_NOFILE, &full, nullptr), 0);
    EXPECT_NE(error_of([&] { client().remove_network("net0"); }), "");
    ASSERT_EQ(::prlimit(network_.pid(), RLIMIT_NOFILE, &before, nullptr), 0);
    EXPECT_EQ(client().state().networks.size(), 1U);
    client().remove_network("net0");
    EXPECT_TRUE(client().state().networks.empty());
}

}  // namespace
}  // namespace berth::net
