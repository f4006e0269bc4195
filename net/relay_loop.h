// The thread that carries published ports. It lives in the container network namespace, so sockets
// it makes reach containers, while the listening sockets it is given belong to the host's. All
// traffic of all published ports runs here and never blocks; splice(2) moves TCP without copying.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "base/unique_fd.h"
#include "linux/socket_address.h"
#include "net/listen_probe.h"
#include "net/namespace_thread.h"
#include "net/ports.h"
#include "net/protocol.h"
#include "net/watcher.h"

namespace berth::net {

/// A bound socket (TCP: not listening yet) and where its traffic goes.
struct HostSocket final {
    Transport transport = Transport::tcp;
    UniqueFd socket;  // non-blocking
    linux_os::SocketAddress host;
    IpAddress container_address;
    std::uint16_t container_port = 0;
    /// Containers may forge addresses that are not theirs: no server sees a client by them.
    enum class Clients { anywhere, containers } clients = Clients::anywhere;
};

/// Where the traffic of a port goes from now on.
struct PortTarget final {
    HostPort host;
    IpAddress container_address;
};

/// The ports of one container.
struct ContainerPorts final {
    std::string owner;
    std::vector<HostSocket> sockets;
    std::string output;  // as in PublishedPorts
};

class RelayLoop final : public NetworkWatcher {
  public:
    /// Starts the thread in the executor's network namespace and prepares that for sockets which
    /// are bound to clients' addresses. Throws Error.
    explicit RelayLoop(NamespaceThread& executor);
    ~RelayLoop() override;
    RelayLoop(const RelayLoop&) = delete;
    RelayLoop& operator=(const RelayLoop&) = delete;

    /// Serves the ports of a container, which runs as `inside`, from now on. False when they listen
    /// all the time, since what listens inside cannot be seen.
    bool add(ContainerPorts ports, std::optional<ListenProbe::Target> inside);
    /// The same ports lead to other addresses of the container: sockets and TCP connections stay.
    void retarget(const std::string& owner, const std::vector<PortTarget>& targets);
    /// Ports that listen all the time follow `inside` from now on. False: as add().
    bool follow(const std::string& owner, const std::string& output, ListenProbe::Target inside);
    /// Closes the sockets and connections of `owner`; when it returns their ports are free.
    void remove(const std::string& owner);

    void on_networks(std::span<const NetworkSpec> networks) override;

  private:
    class Thread;
    NamespaceThread& executor_;
    std::unique_ptr<Thread> thread_;
};

}  // namespace berth::net
