// The address at which containers reach the host itself, whatever addresses it has at the moment:
// what `host-gateway` stands for. Connections to it (TCP, by the gate of syn_gate.h) go to the
// host's own address, so services that listen on the host's loopback only stay out of reach.
#pragma once

#include <optional>

#include "base/ip_address.h"

namespace berth::net {

// libslirp's names for its host; the engine writes the first one into /etc/hosts.
constexpr const char* kHostAlias4 = "10.0.2.2";
constexpr const char* kHostAlias6 = "fd00::2";

enum class HostServices { own_address, loopback };

/// Where a connection to `destination` goes; nothing when it is the alias and the host has no
/// address of its own. In the host's network namespace.
std::optional<IpAddress> beyond_alias(const IpAddress& destination, HostServices services);

}  // namespace berth::net
