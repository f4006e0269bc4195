// What happens to a container while the network process works for it: a network process of the
// test's own answers, and acts before it does.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "engine/network/state.h"
#include "linux/message_socket.h"

namespace berth::engine {
namespace {

/// Takes one connection and says yes to everything that `decide` does not refuse with a text.
class FakeNetworkProcess final {
  public:
    using Decide = std::function<std::string(const net::Request&)>;
    FakeNetworkProcess(const std::string& path, Decide decide)
        : listener_(linux_os::listen_messages(path)),
          decide_(std::move(decide)),
          thread_([this] { serve(); }) {}
    /// A request that still waits for its reply must not keep it.
    ~FakeNetworkProcess() {
        ::shutdown(socket_.get(), SHUT_RDWR);
        thread_.join();
    }
    FakeNetworkProcess(const FakeNetworkProcess&) = delete;
    FakeNetworkProcess& operator=(const FakeNetworkProcess&) = delete;

  private:
    void serve() {
        socket_ = linux_os::accept_messages(listener_);
        for (;;) {
            const auto received = linux_os::receive_message(socket_);
            if (received.state != linux_os::ReceiveState::message) return;
            const net::NumberedRequest asked = net::decode_request(received.message.text);
            linux_os::send_message(socket_, answer(asked));
        }
    }
    std::string answer(const net::NumberedRequest& asked) const {
        const std::string refusal = decide_(asked.request);
        if (!refusal.empty())
            return net::encode_error_reply(asked.seq, Error(ErrorKind::internal, "{}", refusal));
        if (std::holds_alternative<net::GetState>(asked.request))
            return net::encode_state_reply(asked.seq, {});
        if (const auto* publish = std::get_if<net::Publish>(&asked.request))
            return net::encode_bindings_reply(asked.seq, publish->ports.bindings);
        return net::encode_empty_reply(asked.seq);
    }

    UniqueFd listener_, socket_;
    Decide decide_;
    std::thread thread_;
};

class NetworkRace : public testing::Test {
  protected:
    NetworkRace() {
        char pattern[] = "/tmp/berth-race-XXXXXX";
        directory_ = ::mkdtemp(pattern);
        settings_.network_socket = directory_ + "/network.sock";
        storage_.emplace(Storage{{}, storage::LayerStore::open(directory_)});
        context_.emplace(Context{io_.get_executor(), settings_, pool_, tasks_, events_, *storage_});
        state_.emplace(NetworkDependencies{*context_, "engine"});
        add_network('a', "net", "10.9.0.0/24");
        add_network('b', "a-net", "10.8.0.0/24");  // by its name it is the default route
    }
    void add_network(char id, const std::string& name, const std::string& subnet) {
        const nlohmann::json body = {{"Name", name},
                                     {"IPAM", {{"Config", {{{"Subnet", subnet}}}}}}};
        state_->networks.push_back(make_network(std::string(64, id), Timestamp{7},
                                                model::network_config_from(body),
                                                {{}, {}, pool_sources({}, "engine")}));
    }
    ~NetworkRace() override { std::filesystem::remove_all(directory_); }

    /// On the engine's thread, waited for by the caller's.
    void on_engine(const std::function<void()>& work) {
        std::promise<void> done;
        boost::asio::post(io_, [&] {
            work();
            done.set_value();
        });
        done.get_future().wait();
    }
    model::ContainerRecord container(char id, const std::string& address) {
        model::ContainerRecord record;
        record.id = std::string(64, id);
        record.host_config.network_mode = "net";
        record.endpoints["net"].config.ipv4_address = address;
        return record;
    }
    NetworkState& state() { return *state_; }
    /// One that runs on "net" with a published port.
    model::ContainerRecord running() {
        model::ContainerRecord record = container('c', "10.9.0.7");
        state().allocate(record);
        record.bound_ports["80/tcp"] = {{"0.0.0.0", "40000"}};
        return record;
    }
    bool is_free(const std::string& network, const std::string& address) {
        net::AddressPool& pool = *state().by_name(network)->pool;
        try {
            pool.reserve(IpAddress::parse(address));
        } catch (const Error&) {
            return false;
        }
        pool.release(IpAddress::parse(address));
        return true;
    }
    /// The message of the Error that `work` ends with, while the network process decides so.
    std::string run(async::Task<void> work, FakeNetworkProcess::Decide decide) {
        FakeNetworkProcess process(settings_.network_socket, std::move(decide));
        std::exception_ptr failure;
        boost::asio::co_spawn(io_, std::move(work), [&](const std::exception_ptr& thrown) {
            failure = thrown;
            io_.stop();
        });
        io_.run();
        try {
            if (failure) std::rethrow_exception(failure);
        } catch (const Error& error) {
            return error.message();
        }
        return "";
    }

    boost::asio::io_context io_{1};
    std::string directory_;
    Settings settings_;
    async::WorkerPool pool_{1};
    async::TaskGroup tasks_{io_.get_executor()};
    Events events_{io_};
    std::optional<Storage> storage_;
    std::optional<Context> context_;
    std::optional<NetworkState> state_;
};

TEST_F(NetworkRace, AnAddressThatIsAnothersByNowStaysTaken) {
    model::ContainerRecord ends = container('e', "10.9.0.7");
    model::ContainerRecord follows = container('f', "10.9.0.7");
    state().allocate(ends);
    const UniqueFd inside = open_file("/proc/self/ns/net", O_RDONLY);
    bool free = true;
    const auto check = [&]() -> async::Task<void> {
        co_await state().disconnect(ends, "net", {inside, 1});
        free = is_free("net", "10.9.0.7");
    };
    const auto decide = [&](const net::Request& request) {
        if (std::holds_alternative<net::Detach>(request))
            on_engine([&] {
                state().release(ends);
                state().allocate(follows);
            });
        return "";
    };
    EXPECT_EQ(run(check(), decide), "");
    EXPECT_FALSE(free);
}

/// What the network process was asked, as far as it concerns a container that runs.
struct Asked final {
    std::vector<std::string> gateways, targets;
    int detached = 0;
    void note(const net::Request& request) {
        if (const auto* route = std::get_if<net::SetDefaultRoute>(&request))
            gateways.push_back(route->gateway);
        if (const auto* publish = std::get_if<net::Publish>(&request))
            targets.push_back(publish->ports.bindings.at(0).container_ip);
        detached += std::holds_alternative<net::Detach>(request) ? 1 : 0;
    }
};

TEST_F(NetworkRace, AConnectWhoseRoutesDoNotMoveLeavesEverythingAsItWas) {
    model::ContainerRecord record = running();
    record.endpoints["a-net"].config.ipv4_address = "10.8.0.9";
    const UniqueFd inside = open_file("/proc/self/ns/net", O_RDONLY);
    Asked asked;
    bool free = false;
    const auto check = [&]() -> async::Task<void> {
        std::exception_ptr failure;
        try {
            co_await state().connect(record, "a-net", {inside, 1});
        } catch (...) {
            failure = std::current_exception();
        }
        free = is_free("a-net", "10.8.0.9");
        if (failure) std::rethrow_exception(failure);
    };
    const auto decide = [&](const net::Request& request) {
        asked.note(request);
        const bool refused = asked.targets.size() == 1 && asked.detached == 0 &&
                             std::holds_alternative<net::Publish>(request);
        return refused ? "no port today" : "";
    };
    EXPECT_EQ(run(check(), decide), "no port today");
    EXPECT_EQ(asked.gateways, (std::vector<std::string>{"10.8.0.1", "10.9.0.1"}));
    EXPECT_EQ(asked.targets, (std::vector<std::string>{"10.8.0.9", "10.9.0.7"}));
    EXPECT_EQ(asked.detached, 1);
    EXPECT_TRUE(free);
    EXPECT_EQ(record.bound_ports.at("80/tcp").size(), 1U);
}

TEST_F(NetworkRace, ADisconnectWhoseRoutesDoNotMoveLeavesTheNetworkConnected) {
    model::ContainerRecord record = running();
    record.endpoints["a-net"].config.ipv4_address = "10.8.0.9";
    allocate_endpoint(*state().by_name("a-net"), record, record.endpoints["a-net"]);
    record.endpoints["a-net"].interface = "eth1";
    const UniqueFd inside = open_file("/proc/self/ns/net", O_RDONLY);
    Asked asked;
    const auto decide = [&](const net::Request& request) {
        asked.note(request);
        return std::holds_alternative<net::SetDefaultRoute>(request) ? "no route" : "";
    };
    EXPECT_EQ(run(state().disconnect(record, "a-net", {inside, 1}), decide),
              "no route; the former default route of container cccccccccccc is not back: no route");
    EXPECT_EQ(asked.gateways, (std::vector<std::string>{"10.9.0.1", "10.8.0.1"}));
    EXPECT_EQ(asked.detached, 0);
    EXPECT_EQ(record.endpoints.at("a-net").ip_address, "10.8.0.9");
}

TEST_F(NetworkRace, AContainerThatEndsWhileItIsConnectedHasNoPortsAndKeepsTheNetwork) {
    model::ContainerRecord record = running();
    record.endpoints["a-net"];
    const UniqueFd inside = open_file("/proc/self/ns/net", O_RDONLY);
    const auto decide = [&](const net::Request& request) {
        if (std::holds_alternative<net::Publish>(request))
            on_engine([&] { state().release(record); });
        return "";
    };
    EXPECT_EQ(run(state().connect(record, "a-net", {inside, 1}), decide), "");
    EXPECT_TRUE(record.bound_ports.empty());
    EXPECT_TRUE(record.endpoints.contains("a-net"));
    EXPECT_FALSE(is_plugged(record));
}

TEST_F(NetworkRace, ThePortsOfAContainerThatLostItsLastNetworkAsItEndedGo) {
    model::ContainerRecord record = running();
    bool released = false;
    const auto check = [&]() -> async::Task<void> {
        co_await state().disconnect(record, "net", {});
        state().release(record, NamespaceEnd::gone);
        co_await tasks_.wait_empty();
    };
    const auto decide = [&](const net::Request& request) {
        released |= std::holds_alternative<net::Release>(request);
        return "";
    };
    EXPECT_EQ(run(check(), decide), "");
    EXPECT_TRUE(released);
}

}  // namespace
}  // namespace berth::engine
