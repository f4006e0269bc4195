// One container as it is kept on disk: containers/<id>/container.json, written whole and renamed.
// Plain values and their JSON; no IO.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "engine/model/container_config.h"
#include "engine/model/health.h"
#include "engine/model/mounts.h"

namespace berth::engine::model {

enum class Status { created, running, paused, restarting, removing, exited, dead };
std::string_view to_string(Status status);
Status status_from(std::string_view text);

struct State final {
    Status status = Status::created;
    int pid = 0;
    int exit_code = 0;
    std::string error;
    bool oom_killed = false;
    bool paused_by_engine = false;  // for the time of a commit
    Timestamp started_at;
    Timestamp finished_at;
    std::optional<Health> health;  // since the first start of a container with a health check
    /// Directory of its cgroup, below /sys/fs/cgroup, while it runs; empty: it has none.
    std::string cgroup;
    bool has_process() const { return status == Status::running || status == Status::paused; }
    /// True in every state in which Docker says Running.
    bool is_running() const { return has_process() || status == Status::restarting; }
};

/// An interface of a container; addresses are empty while it does not run.
struct Endpoint final {
    EndpointConfig config;
    std::string network_id;
    std::string endpoint_id;
    std::string ip_address;
    int prefix = 0;
    std::string gateway;
    std::string ipv6_address;
    int prefix_v6 = 0;
    std::string gateway_v6;
    std::string mac_address;
    std::string interface;  // inside the container: eth0
};
/// Back to what an endpoint is while the container does not run.
void forget_addresses(Endpoint& endpoint);

/// A step of a BuildKit build is nobody's but the build's: lists and prunes pass it over, no event
/// tells of it, volumes of its image are directories like any other, and it ends with its engine.
enum class MadeFor { client, build_step };

struct ContainerRecord final {
    std::string id;
    MadeFor made_for = MadeFor::client;
    std::string name;  // without the leading slash
    Timestamp created;
    std::string image_id;   // "sha256:…", of the image's configuration; empty: none
    std::string top_layer;  // chain id; empty: an image without layers
    std::string manifest;   // digest of the image's manifest, when known
    std::string platform = "linux";
    std::string driver;  // storage driver it was made with
    ContainerConfig config;
    HostConfig host_config;
    std::vector<MountPoint> mounts;
    std::map<std::string, Endpoint> endpoints;  // by network name
    PortMap bound_ports;                        // while it runs
    State state;
    int restart_count = 0;
    bool manually_stopped = false;
    /// Has had its first start; until then attach and wait treat it as never run.
    bool has_been_started = false;
};

nlohmann::json to_json(const ContainerRecord& record);
/// Throws Error{invalid} for an unreadable record or an unknown version.
ContainerRecord record_from(const nlohmann::json& value);

/// "/etc/x" -> command line of process 1 as inspect splits it.
std::string record_path(const ContainerRecord& record);
std::vector<std::string> record_arguments(const ContainerRecord& record);

/// Chain ids of the layers that it is built on: its own and those of images that it mounts.
std::vector<std::string> top_layers_of(const ContainerRecord& record);

nlohmann::json ports_to_json(const PortMap& ports);
PortMap ports_from_json(const nlohmann::json& value);

}  // namespace berth::engine::model
