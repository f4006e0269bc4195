// What the Engine API has and berth does not serve: swarm answers as an inactive node, which
// compose and Portainer rely on, a plugin is never found; the rest says 501 instead of pretending
// to be an unknown path.
#include <array>
#include <utility>

#include "api/call.h"
#include "api/routes.h"
#include "engine/model/swarm.h"

namespace berth::api {

namespace {
async::Task<> no_swarm(Call&) {
    throw Error(ErrorKind::unavailable, "{}", engine::model::kNoSwarmManager);
    co_return;
}

async::Task<> not_in_swarm(Call&) {
    throw Error(ErrorKind::unavailable, "This node is not part of a swarm");
    co_return;
}

async::Task<> not_implemented(Call& call) {
    throw Error(ErrorKind::unsupported, "berth does not implement {} {} yet", call.request().method,
                call.request().path);
    co_return;
}

// No managed plugin exists; `docker inspect NAME` asks here last and expects a 404.
async::Task<> no_plugin(Call& call) {
    throw Error(ErrorKind::not_found, "plugin \"{}\" not found", call.name);
    co_return;
}

using Path = std::pair<const char*, const char*>;

constexpr std::array kSwarm{Path{"GET", "/swarm"},
                            Path{"GET", "/swarm/unlockkey"},
                            Path{"POST", "/swarm/init"},
                            Path{"POST", "/swarm/join"},
                            Path{"POST", "/swarm/update"},
                            Path{"POST", "/swarm/unlock"},
                            Path{"GET", "/nodes"},
                            Path{"GET", "/nodes/{name}"},
                            Path{"DELETE", "/nodes/{name}"},
                            Path{"POST", "/nodes/{name}/update"},
                            Path{"GET", "/tasks"},
                            Path{"GET", "/tasks/{name}"},
                            Path{"GET", "/tasks/{name}/logs"}};

constexpr std::array kNotYet{Path{"GET", "/plugins/privileges"}, Path{"POST", "/plugins/pull"},
                             Path{"POST", "/plugins/create"}};

constexpr std::array kPlugin{
    Path{"GET", "/plugins/{name...}/json"},    Path{"DELETE", "/plugins/{name...}"},
    Path{"POST", "/plugins/{name...}/enable"}, Path{"POST", "/plugins/{name...}/disable"},
    Path{"POST", "/plugins/{name...}/push"},   Path{"POST", "/plugins/{name...}/set"},
    Path{"POST", "/plugins/{name...}/upgrade"}};
}  // namespace

void add_unserved_routes(Router& router) {
    for (const auto& [method, path] : kSwarm) router.add(method, path, no_swarm);
    router.add("POST", "/swarm/leave", not_in_swarm);
    for (const std::string kind : {"services", "secrets", "configs"}) {
        router.add("GET", "/" + kind, no_swarm);
        router.add("POST", "/" + kind + "/create", no_swarm);
        router.add("GET", "/" + kind + "/{name}", no_swarm);
        router.add("DELETE", "/" + kind + "/{name}", no_swarm);
        router.add("POST", "/" + kind + "/{name}/update", no_swarm);
    }
    router.add("GET", "/services/{name}/logs", no_swarm);
    for (const auto& [method, path] : kPlugin) router.add(method, path, no_plugin);
    for (const auto& [method, path] : kNotYet) router.add(method, path, not_implemented);
}

}  // namespace berth::api
