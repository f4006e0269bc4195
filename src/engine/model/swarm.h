// What dockerd says on a node outside of a swarm when it is asked for something of a swarm.
#pragma once

namespace berth::engine::model {

/// Clients match this text.
constexpr const char* kNoSwarmManager =
    "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to "
    "connect this node to swarm and try again.";

}  // namespace berth::engine::model
