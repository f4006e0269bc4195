// Reserves host ports for real: a binding is bound (TCP: listening) before it is reported, so no
// other program can take it in between. All sockets of a request or none. Runs in the host's
// network namespace, on the service's thread.
#pragma once

#include <vector>

#include "net/ports.h"
#include "net/relay_loop.h"

namespace berth::net {

struct ReservedPort final {
    PortBinding binding;  // one address, one port
    HostPort host;
    HostSocket socket;
};

/// Throws Error with Docker's texts: port owned by berth, by a stranger, privileged, exhausted, or
/// a transport that is not served. `table` learns of the ports only on success.
std::vector<ReservedPort> reserve_ports(PortTable& table, const std::vector<PortBinding>& bindings);

}  // namespace berth::net
