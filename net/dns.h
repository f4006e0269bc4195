// DNS for containers on user-defined networks (dns_server.h inside each, dns_names.h for the
// names, dns_forwarder.h for the rest). Host names are asked of the host's resolvers as they are
// at that moment, from the host's network namespace; --dns servers from the container's. Called on
// the main thread; all questions are served by one thread of its own in the host's namespace.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "linux/socket_address.h"
#include "net/namespace_thread.h"
#include "net/watcher.h"

namespace berth::net {

class Dns final : public NetworkWatcher {
  public:
    /// Asked on the DNS thread for each question that goes to the host's resolvers.
    using HostResolvers = std::function<std::vector<linux_os::SocketAddress>()>;

    /// In the host's network namespace.
    Dns(NamespaceThread& executor, HostResolvers resolvers);
    ~Dns() override;

    void on_networks(std::span<const NetworkSpec> networks) override;
    void on_attached(const NetworkSpec& network, const Attachment& attachment,
                     BorrowedFd network_namespace) override;
    void on_restored(const NetworkSpec& network, const Attachment& attachment) override;
    void on_detached(const Attachment& attachment) override;

  private:
    class Thread;
    void serve(const Attachment& attachment, BorrowedFd network_namespace);

    NamespaceThread& executor_;
    std::unique_ptr<Thread> thread_;
    std::map<std::string, std::int64_t> served_;  // container -> its process 1
};

}  // namespace berth::net
