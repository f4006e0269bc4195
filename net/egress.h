// Outgoing TCP connections past libslirp: the gate makes them from the host's network namespace,
// threads of their own splice them. On by itself wherever the kernel has all parts; else, and when
// the daemon's options turn it off, libslirp carries them, and `problem` says why. Main thread
// only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/container_side.h"
#include "net/egress_path.h"
#include "net/namespace_thread.h"
#include "net/protocol.h"
#include "net/syn_gate.h"
#include "net/watcher.h"

namespace berth::net {

class Egress final : public NetworkWatcher {
  public:
    /// Never throws for what the kernel lacks.
    Egress(ContainerSide& side, NamespaceThread& executor, const ProcessConfig& config);
    ~Egress() override;
    Egress(const Egress&) = delete;
    Egress& operator=(const Egress&) = delete;

    /// False: libslirp carries them.
    bool is_on() const { return gate_ != nullptr; }
    /// Why connections go through libslirp against the daemon's options.
    std::string problem() const override { return problem_; }
    void on_networks(std::span<const NetworkSpec> networks) override;
    void on_detached(const Attachment& attachment) override;

  private:
    class Worker;
    void start(HostServices services);
    GateSockets open_path();
    void fall_back(const std::string& reason);
    Worker& least_loaded();

    ContainerSide& side_;
    NamespaceThread& executor_;
    AddressFamilies families_ = AddressFamilies::both;
    std::string rules_;  // as loaded
    std::string problem_;
    std::unique_ptr<SynGate> gate_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace berth::net
