// Where this user's engine listens.
#pragma once

#include <string>

namespace berth::cli {

/// $DOCKER_HOST, else the socket in the user's run-time directory. Throws Error{denied} when that
/// directory is not the user's.
std::string default_host();
/// The socket alone, whatever DOCKER_HOST says: what `berth setup` installs.
std::string own_host();

}  // namespace berth::cli
