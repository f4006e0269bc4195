// A world for the network process: the test process itself becomes root of a user namespace with
// an own "host" network namespace (192.0.2.1, 2001:db8::1 on a bridge that stands for the host's
// card, own resolv.conf), a stand-in holder pins the container side, the real berth-network runs
// with descriptors 3 and 4, and containers are network namespaces with a sleeping process.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "linux/pid_fd.h"
#include "net/client.h"
#include "net/protocol.h"
#include "test_sockets.h"

namespace berth::net {

constexpr const char* kHostAddress = "192.0.2.1";
constexpr const char* kHostAddress6 = "2001:db8::1";
constexpr const char* kRemoteAddress = "192.0.2.7";
constexpr const char* kRemoteAddress6 = "2001:db8::7";

/// A forked process that runs one function; its result is the exit code. Killed when dropped.
class Child final {
  public:
    static Child run(const std::function<int()>& work);
    Child(Child&&) noexcept = default;
    ~Child();
    int wait();
    const linux_os::PidFd& process() const { return process_; }

  private:
    explicit Child(linux_os::PidFd process) : process_(std::move(process)) {}
    linux_os::PidFd process_;
};

class Container final {
  public:
    Container(BorrowedFd holder, std::string id);
    const std::string& id() const { return id_; }
    pid_t pid() const { return sleeper_.process().pid(); }
    BorrowedFd network_namespace() const { return namespace_; }
    /// Runs `work` in the container's network namespace.
    Child run(const std::function<int()>& work) const;

  private:
    std::string id_;
    Child sleeper_;
    UniqueFd namespace_;
};

/// Another machine on the host's network: 192.0.2.7 and 2001:db8::7.
class Remote final {
  public:
    Remote();
    ~Remote();
    Child run(const std::function<int()>& work) const;
    BorrowedFd network_namespace() const { return namespace_; }

  private:
    Child sleeper_;
    UniqueFd namespace_;
};

class NetworkWorld : public testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    void start_network();
    /// SIGKILL: as a crash.
    void crash_network();
    NetworkClient& client() { return *client_; }
    Container container(const std::string& id) { return Container(holder_->process().fd(), id); }
    /// Makes the default bridge and attaches a new container as 172.17.0.`last`.
    Container attached_container(const std::string& id, int last);
    void ensure(const NetworkSpec& spec) { client().ensure_network(spec); }
    /// The same on a network of both families, as fd88::`last` too.
    Container dual_stack_container(const std::string& id, int last);
    /// A process in the container network namespace that listens there.
    Child occupy(const std::string& address, std::uint16_t port);
    std::vector<PortBinding> publish(const Container& target, PortBinding binding);
    std::vector<PortBinding> publish(const Container& target, std::vector<PortBinding> bindings);

    std::string directory_;
    ProcessConfig config_;  // for start_network(); the socket is set there
    int descriptors_ = 0;   // the hard limit of the next start_network(); 0: as this process's
    std::optional<Child> holder_;
    linux_os::PidFd network_;
    UniqueFd supervisor_;
    std::optional<NetworkClient> client_;
};

NetworkSpec default_network();
int open_descriptors(pid_t pid);
Attachment attachment(const std::string& id, int last);
/// The message of the Error that `call` throws; "" when it throws none.
std::string error_of(const std::function<void()>& call);

}  // namespace berth::net
