// The header X-Registry-Config of a build: credentials of every registry that the client knows.
#pragma once

#include <string>

#include "engine/build/build.h"

namespace berth::engine {

/// Anonymous for a missing or unreadable header, as with Docker.
RegistryAuth registry_auth_of(const std::string& header);

}  // namespace berth::engine
