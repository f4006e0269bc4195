// The user's credentials for a registry in the form of the X-Registry-Auth header.
#pragma once

#include <string>

namespace berth::cli {

/// The header's value for the registry of `reference`; empty when there are no credentials.
std::string registry_auth(const std::string& reference);

}  // namespace berth::cli
