// What happens to a container while the network process works for it: a network process of the
// test's own answers, and acts before it does.
#include <fcntl.h>
#include <gtest/gtest.h>

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

/// Takes one connection and says yes to everything, after `before_detach` has run.
class FakeNetworkProcess final {
  public:
    FakeNetworkProcess(const std::string& path, std::function<void()> before_detach)
        : listener_(linux_os::listen_messages(path)),
          before_detach_(std::move(before_detach)),
          thread_([this] { serve(); }) {}
    ~FakeNetworkProcess() { thread_.join(); }
    FakeNetworkProcess(const FakeNetworkProcess&) = delete;
    FakeNetworkProcess& operator=(const FakeNetworkProcess&) = delete;

  private:
    void serve() {
        const UniqueFd socket = linux_os::accept_messages(listener_);
        for (;;) {
            const auto received = linux_os::receive_message(socket);
            if (received.state != linux_os::ReceiveState::message) return;
            const net::NumberedRequest asked = net::decode_request(received.message.text);
            if (std::holds_alternative<net::Detach>(asked.request)) before_detach_();
            linux_os::send_message(socket, std::holds_alternative<net::GetState>(asked.request)
                                               ? net::encode_state_reply(asked.seq, {})
                                               : net::encode_empty_reply(asked.seq));
        }
    }

    UniqueFd listener_;
    std::function<void()> before_detach_;
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
        const nlohmann::json body = {{"Name", "net"},
                                     {"IPAM", {{"Config", {{{"Subnet", "10.9.0.0/24"}}}}}}};
        state_->networks.push_back(make_network(std::string(64, 'a'), Timestamp{7},
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
    std::optional<FakeNetworkProcess> process;
    process.emplace(settings_.network_socket, [&] {
        on_engine([&] {
            state().release(ends);
            state().allocate(follows);
        });
    });
    const UniqueFd inside = open_file("/proc/self/ns/net", O_RDONLY);
    std::exception_ptr failure;
    const auto finished = [&](const std::exception_ptr& thrown) {
        failure = thrown;
        io_.stop();
    };
    boost::asio::co_spawn(io_, state().disconnect(ends, "net", {inside, 1}), finished);
    io_.run();
    EXPECT_FALSE(failure);
    EXPECT_THROW(state().by_name("net")->pool->reserve(net::IpAddress::parse("10.9.0.7")), Error);
    state_.reset();  // hangs up
    process.reset();
}

}  // namespace
}  // namespace berth::engine
