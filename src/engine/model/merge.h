// What an image adds to a container's configuration, and the defaults of the engine. Pure.
#pragma once

#include <string>

#include "engine/model/container_config.h"
#include "engine/settings.h"

namespace berth::engine::model {

/// Fills `config` from the image's own configuration, by Docker's rules for Cmd and Entrypoint,
/// Env, Labels, ports, volumes and the rest. Throws Error{invalid} "no command specified".
ContainerConfig merge_image(ContainerConfig config, const ContainerConfig& image);

/// Facts that defaults depend on.
struct DefaultFacts final {
    std::string container_id;  // its first twelve digits are the hostname
    std::string host_name;     // with the host's UTS or network namespace
    bool cgroup_v2 = true;
};

/// Turns every spelling of "not set" into the value that is used. `default_endpoint` of
/// NetworkingConfig is renamed as the network mode is.
void apply_defaults(CreateRequest& request, const Settings& settings, const DefaultFacts& facts);

/// Path and arguments of process 1: entrypoint, then command.
std::vector<std::string> command_line(const ContainerConfig& config);

}  // namespace berth::engine::model
