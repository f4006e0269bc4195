// What other parts of the network process (outgoing connections, published ports, DNS) are told by
// the Service about networks and containers. Called on the main thread, after the change is in
// place; a watcher that cannot keep up with a change logs it itself. Rules that a watcher needs in
// the container network namespace go into an nftables table of its own, loaded with
// ContainerSide::load_rules.
#pragma once

#include <span>
#include <string>

#include "base/unique_fd.h"
#include "net/protocol.h"

namespace berth::net {

class NetworkWatcher {
  public:
    virtual ~NetworkWatcher() = default;
    /// All networks that exist now. Also called at the start, with what was restored.
    virtual void on_networks(std::span<const NetworkSpec> networks) { (void)networks; }
    /// An interface is in place; called before the engine hears of it, so before the container's
    /// first instruction. The descriptor is the container's network namespace and lives for the
    /// call only. The same attachment may come again: with other names after a rename, or after the
    /// engine found that this process is a new one.
    virtual void on_attached(const NetworkSpec& network, const Attachment& attachment,
                             BorrowedFd network_namespace) {
        (void)network, (void)attachment, (void)network_namespace;
    }
    /// An attachment that a former network process made and that still stands: as on_attached, but
    /// without the namespace, which the engine brings a moment later with on_attached.
    virtual void on_restored(const NetworkSpec& network, const Attachment& attachment) {
        (void)network, (void)attachment;
    }
    virtual void on_detached(const Attachment& attachment) { (void)attachment; }
    /// What works worse than it should, in words for the user; empty when all is well.
    virtual std::string problem() const { return ""; }
};

}  // namespace berth::net
