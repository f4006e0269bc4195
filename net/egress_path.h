// The part of the spliced outgoing path that lies in the container network namespace: a TUN device
// that survives the process, routing by mark, listeners, settings, and the nftables table
// `berth_egress`. `egress_ruleset` is pure text; the rest works in the calling thread's network
// namespace and throws Error naming what the kernel lacks.
#pragma once

#include <span>
#include <string>

#include "net/protocol.h"
#include "net/syn_gate.h"

namespace berth::net {

constexpr const char* kGateName = "gate0";

enum class AddressFamilies { v4, both };

/// Do connections from this network go through the gate? Those of an internal network go nowhere,
/// and without masquerading the container's own address is meant to be seen.
bool is_gated(const NetworkSpec& network);

/// One transaction that replaces the table.
std::string egress_ruleset(std::span<const NetworkSpec> networks, AddressFamilies families);
/// One transaction that removes it, also when it is absent.
std::string no_egress_ruleset();

/// Idempotent: takes over what a former process left. Without IPv6 there is no listener6.
GateSockets make_egress_path(AddressFamilies families);

}  // namespace berth::net
