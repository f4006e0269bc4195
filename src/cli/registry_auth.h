// Credentials of the user's ~/.docker/config.json ($DOCKER_CONFIG) for a registry, in the form of
// the X-Registry-Auth header. Credential helpers come with `berth login`.
#pragma once

#include <string>

namespace berth::cli {

/// The header's value for the registry of `reference`; empty when there are no credentials.
std::string registry_auth(const std::string& reference);

}  // namespace berth::cli
