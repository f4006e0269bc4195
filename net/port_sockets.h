// Reserves host ports for real: a binding is bound (TCP: able to listen) before it is reported, so
// no other program can take it in between. All sockets of a request or none. Runs in the host's
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

/// Where clients of that family go.
IpAddress target_of(const PortBinding& binding, IpFamily client);

/// A bound TCP socket keeps its port, and no other program can take it, also while it refuses
/// clients. Throws Error.
void start_listening(BorrowedFd socket);
void stop_listening(BorrowedFd socket);

/// A second socket for a port on all addresses, in the calling thread's network namespace, where
/// containers reach it at the address of any gateway. Throws Error.
HostSocket gateway_twin(const HostSocket& original);

/// Throws Error with Docker's texts: port owned by berth, by a stranger, privileged, exhausted, or
/// a transport that is not served. `table` learns of the ports only on success.
std::vector<ReservedPort> reserve_ports(PortTable& table, const std::vector<PortBinding>& bindings);

}  // namespace berth::net
