// Which addresses the host already uses or has a way to: a new network that overlaps one of them
// would cut containers (or, for the host's own subnets, somebody) off. Blocking; any thread.
#pragma once

#include <vector>

#include "base/ip_address.h"

namespace berth::net {

/// Destinations of the routes (default routes, loopback, link-local and multicast aside) and the
/// subnets of the interfaces, of both families, in the calling thread's network namespace. Throws
/// Error.
std::vector<Subnet> host_subnets();

}  // namespace berth::net
