// The world of the tests of outgoing TCP: a remote machine with sockets that the test uses and a
// firewall, and a skip where the kernel lacks a part of the spliced path. The host has no default
// route, so networks other than the remote machine's are unreachable.
#pragma once

#include <optional>

#include "network_world.h"

namespace berth::net {

class EgressWorld : public NetworkWorld {
  protected:
    void SetUp() override;
    void TearDown() override;

    /// A listening socket of the remote machine.
    UniqueFd listen_remotely(const std::string& address, std::uint16_t port = 0) const;
    /// Replaces what the remote machine does with arriving packets: rules of an input chain.
    void set_remote_firewall(const std::string& rules) const;

  private:
    /// Runs `work` on a thread in the remote machine's network namespace.
    void run_remotely(const std::function<void()>& work) const;

    std::optional<Remote> remote_;
};

}  // namespace berth::net
