// Tools bind the socket of a root's engine by its fixed path (Testcontainers' reaper, Portainer,
// runners of CI). Where this user has no such engine they mean the one they speak to.
#pragma once

#include <string>

#include "engine/model/container_config.h"

namespace berth::api {

/// Binds of /var/run/docker.sock and /run/docker.sock become binds of `own`, unless the user may
/// use what is there.
void bind_own_socket(engine::model::HostConfig& host, const std::string& own);

}  // namespace berth::api
