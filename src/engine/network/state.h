// Networks inside the engine: the default bridge's addresses, and the connection to the network
// process, which is opened at first use and again after the process restarted. Engine thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/message_channel.h"
#include "async/sync.h"
#include "engine/context.h"
#include "engine/model/record.h"
#include "engine/networks.h"
#include "net/ipam.h"
#include "net/protocol.h"

namespace berth::engine {

struct NetworkDependencies final {
    Context context;
};

/// One network. Only bridges have a pool.
struct Network final {
    std::string id;
    std::string name;
    std::string driver;  // bridge, host, null
    Timestamp created;
    std::optional<net::AddressPool> pool;
    std::string bridge;
};

/// A running container as network inspect shows it.
struct NetworkUser final {
    std::string container_id, container_name;
    model::Endpoint endpoint;
};

struct NetworkState final {
    explicit NetworkState(NetworkDependencies dependencies);

    NetworkDependencies deps;
    std::vector<Network> networks;
    /// Running containers on a network; set by the engine.
    std::function<std::vector<NetworkUser>(const std::string& network)> users;

    /// Reads or makes networks.json (ids stay over restarts).
    void load();
    /// By name, id or unique prefix. Throws Error{not_found} "network X not found".
    const Network& find(const std::string& ref) const;
    const Network* try_find(const std::string& ref) const;

    /// Gives the container's endpoint an address and a MAC; nothing for host, none, container:X.
    void allocate(model::ContainerRecord& record);
    /// Plumbs the network namespace of process `pid` and binds the published ports
    /// (record.bound_ports).
    async::Task<void> attach(model::ContainerRecord& record, BorrowedFd network_namespace,
                             pid_t pid);
    /// Takes back addresses at once and the rest in the background.
    void release(model::ContainerRecord& record);
    /// After an engine restart: the addresses of a container that runs are in use.
    void adopt(const model::ContainerRecord& record);
    /// Fills the endpoint's keys that do not depend on running.
    void prepare_endpoints(model::ContainerRecord& record) const;

  private:
    async::Task<net::Reply> call(net::Request request, std::vector<BorrowedFd> fds);
    async::Task<void> connect();
    async::Task<void> release_remote(std::string container, std::vector<std::string> network_ids);

    net::NetworkSpec spec_of(const Network& network) const;
    std::shared_ptr<async::MessageChannel> channel_;
    async::Lock connecting_;
};

}  // namespace berth::engine
