// The nftables rules of the container network namespace. `ruleset` is pure text from the networks;
// `apply_ruleset` loads it in the calling thread's network namespace, all or nothing.
#pragma once

#include <span>
#include <string>

#include "net/protocol.h"

namespace berth::net {

/// One transaction that replaces the table `inet berth`. Other tables (redirection of outgoing
/// connections, for one) are left alone.
std::string ruleset(std::span<const NetworkSpec> networks, const std::string& uplink);
/// Throws Error with nftables' own words. Loads in a short-lived `berth-network load-rules`.
void apply_ruleset(const std::string& text);

constexpr const char* kLoadRulesVerb = "load-rules";
/// That program: loads the text on stdin, says on stderr what was wrong; its exit code.
int load_rules_verb();

}  // namespace berth::net
