// Networks inside the engine: the table of them, what containers get on them, and what the network
// process is told. Engine thread only. The rules for one container's interfaces are in endpoints.h,
// those for one network in network.h.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "async/sync.h"
#include "engine/context.h"
#include "engine/model/record.h"
#include "engine/network/endpoints.h"
#include "engine/network/network.h"
#include "engine/network/process.h"
#include "engine/networks.h"

namespace berth::engine {

struct NetworkDependencies final {
    Context context;
    std::string engine_id;
};

/// A container with an interface on a network, as network inspect shows it.
struct NetworkUser final {
    std::string container_id, container_name;
    model::Endpoint endpoint;
};

/// What becomes of the network namespace of a container that ended.
enum class NamespaceEnd : std::uint8_t {
    gone,    // and its interfaces with it
    shared,  // other containers live on in it, without the interfaces: their addresses are free
};

/// The network namespace of a container that runs.
struct Sandbox final {
    BorrowedFd network_namespace;
    pid_t pid = 0;
};

struct NetworkState final {
    explicit NetworkState(NetworkDependencies dependencies);

    NetworkDependencies deps;
    std::list<Network> networks;
    NetworkProcess process;
    /// Orders changes of the table.
    async::Lock changing;
    bool pruning = false;

    // Set by the engine.
    /// Containers that have addresses on the network of that name.
    std::function<std::vector<NetworkUser>(const std::string& network)> users;
    /// Records of all containers that have addresses on any.
    std::function<std::vector<const model::ContainerRecord*>()> plugged;
    /// The name of the container that `ref` means; empty when there is none.
    std::function<std::string(const std::string& ref)> container_name;

    /// Reads or makes networks.json (ids and subnets stay over restarts).
    async::Task<void> load();
    async::Task<void> save();
    /// By id, name or unique prefix. Throws Error{not_found} "network X not found".
    Network& find(const std::string& ref);
    const Network& find(const std::string& ref) const;
    const Network* try_find(const std::string& ref) const;
    Network* by_name(const std::string& name);
    /// Makes it known to the network process and keeps it.
    async::Task<const Network*> add(model::NetworkConfig config);
    async::Task<void> remove(std::string id);
    void publish(const Network& network, const std::string& action,
                 std::map<std::string, std::string> attributes = {}) const;

    // One container. All but prepare_endpoints are for those that run, or are about to.
    /// Names the networks of a new container's endpoints and refuses what they cannot be.
    void prepare_endpoints(model::ContainerRecord& record) const;
    /// Gives the endpoints addresses and MACs; nothing for host, none, container:X.
    void allocate(model::ContainerRecord& record);
    /// Plumbs the network namespace and binds the published ports (record.bound_ports).
    async::Task<void> attach(model::ContainerRecord& record, Sandbox sandbox);
    /// One more network for a container that runs; its endpoint is in the record already.
    async::Task<void> connect(model::ContainerRecord& record, std::string network, Sandbox sandbox);
    /// Takes one away; its endpoint leaves the record.
    async::Task<void> disconnect(model::ContainerRecord& record, std::string network,
                                 Sandbox sandbox);
    /// Tells the network process the container's names again.
    async::Task<void> rename(const model::ContainerRecord& record, Sandbox sandbox);
    /// Takes back addresses at once and the rest in the background.
    void release(model::ContainerRecord& record, NamespaceEnd end = NamespaceEnd::gone);
    /// After an engine restart: the addresses of a container that runs are in use.
    void adopt(const model::ContainerRecord& record);

  private:
    async::Task<void> make_known(const Network& network);
    async::Task<void> publish_ports(model::ContainerRecord& record,
                                    std::vector<net::PortBinding> ports, Sandbox sandbox);
    async::Task<void> undo_connect(std::string container, model::Endpoint endpoint);
    async::Task<void> move_routes(model::ContainerRecord& record, Gateways gateways,
                                  Sandbox sandbox);
    async::Task<std::exception_ptr> move_back(model::ContainerRecord& record, Gateways former,
                                              Sandbox sandbox, std::exception_ptr failure);
    async::Task<void> release_remote(std::string container, NamespaceEnd end);
    /// What the network process hears of a running container again: a new holder has neither its
    /// interfaces nor its ports.
    std::vector<net::Request> requests_again(const model::ContainerRecord& record) const;
    net::Attachment attachment_of(const model::ContainerRecord& record, const std::string& network,
                                  const model::Endpoint& endpoint, pid_t pid) const;
    std::vector<net::Attachment> attachments_of(const model::ContainerRecord& record,
                                                pid_t pid) const;
    std::vector<net::PortBinding> ports_of(const model::ContainerRecord& record,
                                           const Gateways& gateways) const;
    std::vector<Reminder> reminders() const;
    AddressPlan address_plan(std::vector<Subnet> host) const;

    std::string path_;  // networks.json
    std::string default_subnet_;
};

}  // namespace berth::engine
