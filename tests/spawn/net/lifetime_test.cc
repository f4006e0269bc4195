// The life of the network process: crash and adoption, loss of its supervisor, its state.
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>

#include <chrono>
#include <iostream>

#include "base/file.h"
#include "linux/message_socket.h"
#include "network_world.h"

namespace berth::net {
namespace {

class Lifetime : public NetworkWorld {};

PortBinding some_port() {
    return {.host_ip = "127.0.0.1", .container_ip = "172.17.0.2", .container_port = 80};
}

TEST_F(Lifetime, StateTellsEverything) {
    const Container box = attached_container("c1", 2);
    const auto bound = publish(box, some_port());
    const NetworkState state = client().state();
    ASSERT_EQ(state.networks.size(), 1U);
    EXPECT_EQ(state.networks[0], default_network());
    ASSERT_EQ(state.attachments.size(), 1U);
    Attachment expected = attachment("c1", 2);
    expected.pid = box.pid();
    expected.namespace_inode = state.attachments[0].namespace_inode;
    EXPECT_EQ(state.attachments[0], expected);
    ASSERT_EQ(state.bindings.size(), 1U);
    EXPECT_EQ(state.bindings[0].bindings, bound);
}

TEST_F(Lifetime, CrashIsMendedByTheNextProcess) {
    const Container box = attached_container("c1", 2);
    std::optional<Container> gone = attached_container("c2", 3);
    const auto bound = publish(box, some_port());
    crash_network();
    start_network();
    const NetworkState state = client().state();
    EXPECT_EQ(state.networks.size(), 1U);
    EXPECT_EQ(state.attachments.size(), 2U);
    ASSERT_EQ(state.bindings.size(), 1U);
    EXPECT_EQ(state.bindings[0].bindings, bound);

    Child server = box.run([] {
        const UniqueFd listener = listen_tcp("0.0.0.0", 80);
        return send_text(accept_one(listener), "again") ? 0 : 1;
    });
    std::string answer;
    // Until the server listens, connections are reset.
    for (int tries = 0; answer.empty() && tries < 10'000; ++tries)
        answer = receive_all(connect_to(Transport::tcp, "127.0.0.1", bound[0].host_port).socket);
    EXPECT_EQ(answer, "again");

    const UniqueFd outside = listen_tcp(kHostAddress, 0);
    Child inside =
        box.run([&] { return connect_to(Transport::tcp, kHostAddress, port_of(outside)).error; });
    EXPECT_EQ(inside.wait(), 0);
}

TEST_F(Lifetime, DetachDropsTheAttachment) {
    const Container box = attached_container("c1", 2);
    client().detach({"c1", "net0", true});
    EXPECT_TRUE(client().state().attachments.empty());
    client().attach(attachment("c1", 2), box.network_namespace());
    client().remove_network("net0");
    EXPECT_TRUE(client().state().networks.empty());
}

TEST_F(Lifetime, SameContainerAttachesAnewBeforeItsOldNamespaceIsGone) {
    const Container first = attached_container("c1", 2);
    const Container second = attached_container("c1", 2);
    EXPECT_EQ(client().state().attachments.size(), 1U);
}

TEST_F(Lifetime, EnsureNetworkIsIdempotent) {
    ensure(default_network());
    ensure(default_network());
    EXPECT_EQ(client().state().networks.size(), 1U);
}

TEST_F(Lifetime, AttachToAnAbsentNetworkFails) {
    const Container box = container("c1");
    EXPECT_EQ(error_of([&] { client().attach(attachment("c1", 2), box.network_namespace()); }),
              "network net0 not found");
}

TEST_F(Lifetime, MalformedRequestGetsAnErrorAndTheConnectionLives) {
    const UniqueFd raw = linux_os::connect_messages(directory_ + "/network.sock");
    linux_os::send_message(raw, R"({"v":1,"seq":4,"type":"attach"})");
    ASSERT_TRUE(linux_os::wait_readable(raw, kDeadlineMs));
    const Reply reply = decode_reply(linux_os::receive_message(raw).message.text);
    EXPECT_EQ(reply.seq, 4);
    EXPECT_TRUE(reply.error);
    linux_os::send_message(raw, encode_request({5, GetState{}}));
    ASSERT_TRUE(linux_os::wait_readable(raw, kDeadlineMs));
}

TEST_F(Lifetime, SupervisorsEndIsSurvived) {
    supervisor_.reset();
    EXPECT_TRUE(client().state().networks.empty());
    EXPECT_TRUE(client().state().networks.empty());
    EXPECT_TRUE(network_.alive());
}

TEST_F(Lifetime, SigtermEndsItAndTakesItsFilesAway) {
    ensure(default_network());
    EXPECT_TRUE(exists(directory_ + "/network-state.json"));
    network_.signal(SIGTERM);
    EXPECT_EQ(network_.reap().code, 0);
    network_ = {};
    EXPECT_FALSE(exists(directory_ + "/network.sock"));
    EXPECT_FALSE(exists(directory_ + "/network-state.json"));
}

TEST_F(Lifetime, BrokenStateFileDoesNotStopTheStart) {
    ensure(default_network());
    crash_network();
    replace_file(directory_ + "/network-state.json", "{\"networks\":7", 0600, Durability::process);
    start_network();
    EXPECT_TRUE(client().state().networks.empty());
}

TEST_F(Lifetime, ABridgeThatNobodyKnowsGoesWhenTheEngineSaysWhatIsThere) {
    const auto has_bridge = [this](const char* name) {
        return Child::run([&] {
                   const std::string path =
                       fmt::format("/proc/{}/ns/net", holder_->process().pid());
                   if (::setns(open_file(path, O_RDONLY).get(), CLONE_NEWNET) < 0) return 2;
                   return ::if_nametoindex(name) != 0 ? 1 : 0;
               })
            .wait();
    };
    NetworkSpec made = default_network();
    made.bridge = "br-0123456789ab";
    ensure(made);
    crash_network();
    remove_tree(directory_ + "/network-state.json");  // killed before it wrote that down
    start_network();
    EXPECT_EQ(has_bridge("br-0123456789ab"), 1);
    ensure(default_network());
    client().keep({});
    EXPECT_EQ(has_bridge("br-0123456789ab"), 0);
}

TEST_F(Lifetime, AttachCostsMilliseconds) {
    ensure(default_network());
    std::vector<Container> boxes;
    for (int i = 2; i < 12; ++i) boxes.push_back(container(fmt::format("c{}", i)));
    const auto start = std::chrono::steady_clock::now();
    for (int i = 2; i < 12; ++i)
        client().attach(attachment(fmt::format("c{}", i), i),
                        boxes[static_cast<std::size_t>(i - 2)].network_namespace());
    const std::chrono::duration<double, std::milli> spent =
        std::chrono::steady_clock::now() - start;
    RecordProperty("attach_ms", fmt::format("{:.2f}", spent.count() / 10));
    std::cout << "attach: " << spent.count() / 10 << " ms" << std::endl;
    EXPECT_LT(spent.count() / 10, 100);
}

}  // namespace
}  // namespace berth::net
