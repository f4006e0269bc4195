// What the network process does for the engine: one call a request of docs/processes.md, and the
// state that must outlive the engine (in memory) and the process itself (in a file). Used by the
// process's main thread only. Errors are Error with texts meant for the API's client.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/container_side.h"
#include "net/port_sockets.h"
#include "net/protocol.h"
#include "net/relay_loop.h"
#include "net/watcher.h"

namespace berth::net {

class Service final {
  public:
    Service(ContainerSide& side, RelayLoop& relays, const ProcessConfig& config);

    /// Tells `watcher` of networks and containers from now on; register before restore().
    void watch(NetworkWatcher& watcher) { watchers_.push_back(&watcher); }
    /// Takes up what the previous process left: makes networks again, drops attachments whose
    /// interface is gone, reserves the ports of the others. What cannot be had back is logged.
    void restore();
    /// The text of the reply. Never throws for a bad request.
    std::string handle(const std::string& request, const std::vector<UniqueFd>& fds);
    /// Writes the state file if something changed; call before the reply is sent.
    void save();

    /// Removes the state file, at a wanted end.
    void forget();

  private:
    NetworkState read_state() const;
    std::string answer(const NumberedRequest& request, const std::vector<UniqueFd>& fds);
    void ensure_network(const NetworkSpec& network);
    void remove_network(const std::string& id);
    void attach(const Attachment& attachment, BorrowedFd network_namespace);
    void follow_restored(const std::string& container, BorrowedFd network_namespace);
    void detach(const Detach& request);
    void release(const Release& request);
    void keep(const Keep& wanted);
    /// Without a descriptor the namespace is looked up from the container's process.
    std::vector<PortBinding> publish(const PublishedPorts& ports, BorrowedFd network_namespace);
    /// The bindings that were asked for, when they are those that stand but for the container's
    /// addresses.
    bool retarget(const PublishedPorts& ports);
    std::int64_t process_of(const std::string& container) const;
    std::optional<ListenProbe::Target> inside_of(const std::string& container,
                                                 BorrowedFd network_namespace) const;
    void unpublish(const std::string& container);
    NetworkState state() const;
    void tell_networks() const;
    void drop_attachments(const std::function<bool(const Attachment&)>& which);
    bool is_known(const std::string& network_id) const;
    const NetworkSpec& network(const std::string& id) const;

    struct Published final {
        std::vector<PortBinding> bindings;
        std::vector<HostPort> ports;
        std::string output;
        std::int64_t pid = 0;   // of the container's process 1 when they were published
        bool followed = false;  // they listen exactly while the container does
    };

    ContainerSide& side_;
    RelayLoop& relays_;
    std::vector<NetworkWatcher*> watchers_;
    std::string state_file_;
    PortTable ports_;
    std::vector<NetworkSpec> networks_;
    std::vector<Attachment> attachments_;
    std::map<std::string, Published> published_;  // by container
    bool changed_ = false;
};

}  // namespace berth::net
