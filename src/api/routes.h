// Each resource adds its routes to the router; one function a file.
#pragma once

#include "api/router.h"

namespace berth::api {

void add_archive_routes(Router& router);
void add_build_routes(Router& router);
void add_buildkit_routes(Router& router);
void add_system_routes(Router& router);
void add_container_routes(Router& router);
void add_container_stream_routes(Router& router);
void add_container_usage_routes(Router& router);
void add_exec_routes(Router& router);
void add_housekeeping_routes(Router& router);
void add_image_routes(Router& router);
void add_image_transfer_routes(Router& router);
void add_registry_routes(Router& router);
void add_volume_routes(Router& router);
void add_network_routes(Router& router);
/// Answers of an inactive swarm, and "not implemented" for what the API knows but berth lacks yet.
void add_unserved_routes(Router& router);

}  // namespace berth::api
