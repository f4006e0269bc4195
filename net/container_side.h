// The container network namespace's own devices: tap towards libslirp, bridges, one veth a
// container's interface, firewall. Every call is idempotent, so that a new network process adopts
// what the previous one left. Runs its work in N through the NamespaceThread; may be called from
// one thread at a time. Holds no state: the service does.
#pragma once

#include <set>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "net/namespace_thread.h"
#include "net/protocol.h"

namespace berth::net {

constexpr const char* kTapName = "tap0";

class ContainerSide final {
  public:
    explicit ContainerSide(NamespaceThread& thread) : thread_(thread) {}

    /// Loopback, sysctls, and the tap, which goes away with its descriptor: a new process makes a
    /// new one, since the connections of libslirp end with the old process anyway.
    UniqueFd prepare(const ProcessConfig& config);
    void ensure_bridge(const NetworkSpec& network);
    void remove_bridge(const std::string& name);
    /// Of the bridges with a name that the engine chose ("br-" and 12 digits) those not named here.
    void remove_bridges_except(const std::set<std::string>& names);
    void apply_firewall(std::span<const NetworkSpec> networks);
    /// Loads nftables text in N, in one transaction. For tables of other parts: `berth` is ours.
    void load_rules(const std::string& text);
    void attach(const NetworkSpec& network, const Attachment& attachment,
                BorrowedFd network_namespace);
    void set_default_route(const SetDefaultRoute& route, BorrowedFd network_namespace);
    void set_loopback_up(BorrowedFd network_namespace);
    /// Is the interface of that attachment still there?
    bool is_attached(const Attachment& attachment);
    /// Does the network namespace have an interface of that name?
    bool is_inside(const std::string& interface, BorrowedFd network_namespace);
    /// Takes the interface away from a container that lives on. An absent one is fine.
    void remove_interface(const std::string& container, const std::string& network_id);

  private:
    NamespaceThread& thread_;
};

/// Name of the bridge's end of the veth pair: the same for the same container and network.
std::string port_name(const std::string& container, const std::string& network_id);

}  // namespace berth::net
