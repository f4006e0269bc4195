// Published ports whose container gets another address, or another network process.
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"

#include "network_world.h"

namespace berth::net {
namespace {

constexpr std::uint16_t kInside = 8080;

class MovedPorts : public NetworkWorld {
  protected:
    static PortBinding to(const std::string& address) {
        return {.host_ip = "127.0.0.1", .container_ip = address, .container_port = kInside};
    }
    /// Echoes one word of each connection after the other, each by a process of its own, and says
    /// the address that the client came to.
    static Child serve(const Container& box) {
        return box.run([] {
            ::signal(SIGCHLD, SIG_IGN);
            const UniqueFd listener = listen_tcp("0.0.0.0", kInside);
            for (;;) {
                const UniqueFd client = accept_one(listener);
                if (::fork() != 0) continue;
                for (std::string word; !(word = receive(client)).empty();)
                    send_text(client, word + " at " + name_of(client));
                ::_exit(0);
            }
            return 0;
        });
    }
    static std::string ask(BorrowedFd connection, const std::string& word) {
        send_text(connection, word);
        return receive(connection);
    }
    /// The container has a second address, as after a connect to another network.
    void add_address(const Container& box) {
        NetworkSpec second = default_network();
        second.id = "net1";
        second.name = "second";
        second.bridge = "br-second";
        second.subnet = "172.30.0.0/16";
        second.gateway = "172.30.0.1";
        ensure(second);
        Attachment wanted = attachment(box.id(), 2);
        wanted.network_id = "net1";
        wanted.interface = "eth1";
        wanted.address = "172.30.0.2/16";
        wanted.gateway = "";
        wanted.pid = box.pid();
        client().attach(wanted, box.network_namespace());
    }
};

TEST_F(MovedPorts, ConnectionsOutliveAMoveAndNewOnesGoToTheNewAddress) {
    const Container box = attached_container("c1", 2);
    const Child server = serve(box);
    std::vector<PortBinding> bound = publish(box, to("172.17.0.2"));
    const std::uint16_t port = bound[0].host_port;
    const Connection old = connect_when_listening("127.0.0.1", port);
    ASSERT_EQ(ask(old.socket, "a"), "a at 172.17.0.2 8080");
    add_address(box);
    bound[0].container_ip = "172.30.0.2";
    EXPECT_EQ(publish(box, bound), bound);
    // The port never stopped to listen.
    const Connection fresh = connect_to(Transport::tcp, "127.0.0.1", port);
    ASSERT_EQ(fresh.error, 0);
    EXPECT_EQ(ask(fresh.socket, "b"), "b at 172.30.0.2 8080");
    EXPECT_EQ(ask(old.socket, "c"), "c at 172.17.0.2 8080");
}

TEST_F(MovedPorts, AnotherSetOfPortsReplacesTheFormer) {
    const Container box = attached_container("c1", 2);
    const std::vector<PortBinding> former = publish(box, to("172.17.0.2"));
    PortBinding other = to("172.17.0.2");
    other.container_port = kInside + 1;
    publish(box, other);
    const UniqueFd taken = listen_tcp("127.0.0.1", former[0].host_port);
    EXPECT_TRUE(taken);
}

TEST_F(MovedPorts, TheNextNetworkProcessKeepsThePortWhileTheEngineComesBack) {
    const Container box = attached_container("c1", 2);
    const Child server = serve(box);
    const std::vector<PortBinding> bound = publish(box, to("172.17.0.2"));
    ASSERT_TRUE(connect_when_listening("127.0.0.1", bound[0].host_port).socket);
    crash_network();
    start_network();
    const Connection early = connect_when_listening("127.0.0.1", bound[0].host_port);
    ASSERT_EQ(ask(early.socket, "a"), "a at 172.17.0.2 8080");
    Attachment again = attachment("c1", 2);
    again.pid = box.pid();
    client().attach(again, box.network_namespace());
    EXPECT_EQ(ask(early.socket, "b"), "b at 172.17.0.2 8080");
}

/// The state file as if the container's process had ended and its number were another's.
void forge_process(const std::string& path, pid_t pid) {
    nlohmann::json state = parse_json(read_file_if_exists(path).value());
    for (nlohmann::json& attachment : state["attachments"]) attachment["pid"] = pid;
    replace_file(path, dump_json(state), 0600, Durability::process);
}

TEST_F(MovedPorts, AProcessNumberThatIsAnothersByNowIsNotFollowed) {
    const Container box = attached_container("c1", 2);
    const Child server = serve(box);
    const std::vector<PortBinding> bound = publish(box, to("172.17.0.2"));
    crash_network();
    const Container stranger = container("c2");
    forge_process(directory_ + "/network-state.json", stranger.pid());
    start_network();
    EXPECT_EQ(client().state().attachments.at(0).pid, 0);
    // Until the engine says who it is, the port listens whatever listens inside.
    const Connection early = connect_to(Transport::tcp, "127.0.0.1", bound[0].host_port);
    ASSERT_EQ(early.error, 0);
    ASSERT_EQ(ask(early.socket, "a"), "a at 172.17.0.2 8080");
    Attachment again = attachment("c1", 2);
    again.pid = box.pid();
    client().attach(again, box.network_namespace());
    // Followed from now on, and nothing was dropped on the way.
    EXPECT_EQ(ask(early.socket, "b"), "b at 172.17.0.2 8080");
    EXPECT_EQ(connect_to(Transport::tcp, "127.0.0.1", bound[0].host_port).error, 0);
}

}  // namespace
}  // namespace berth::net
