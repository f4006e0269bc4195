// Removing what is unused, and what everything takes. Networks have their own prune.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/image_size.h"
#include "api/parameters.h"
#include "api/routes.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
async::Task<> prune_containers(Call& call) {
    auto filters = engine::Filters::parse(call.query().get("filters"));
    const auto pruned = co_await call.engine.housekeeping().prune_containers(std::move(filters));
    co_await reply_json(call, 200, pruned);
}

async::Task<> prune_images(Call& call) {
    auto filters = engine::Filters::parse(call.query().get("filters"));
    const auto pruned = co_await call.engine.housekeeping().prune_images(std::move(filters));
    co_await reply_json(call, 200, pruned);
}

async::Task<> prune_volumes(Call& call) {
    auto filters = engine::Filters::parse(call.query().get("filters"));
    const auto which = call.version < ApiVersion{1, 42} ? engine::PrunedVolumes::all
                                                        : engine::PrunedVolumes::anonymous;
    const auto pruned =
        co_await call.engine.housekeeping().prune_volumes(std::move(filters), which);
    co_await reply_json(call, 200, pruned);
}

async::Task<> prune_build_cache(Call& call) {
    auto filters = engine::Filters::parse(call.query().get("filters"));
    const auto bytes = [&](const char* key) { return integer(call.query(), key).value_or(0); };
    engine::CacheLimits limits;
    limits.max_used = bytes("max-used-space");
    limits.min_free = bytes("min-free-space");
    limits.reserved = std::max(bytes("reserved-space"), bytes("keep-storage"));  // its former name
    const auto removed =
        co_await call.engine.housekeeping().prune_build_cache(std::move(filters), limits);
    nlohmann::json reply{{"CachesDeleted", nullptr}, {"SpaceReclaimed", 0}};
    std::int64_t reclaimed = 0;
    for (const engine::CacheFacts& cache : removed) {
        reply["CachesDeleted"].push_back(cache.name);
        reclaimed += cache.size;
    }
    reply["SpaceReclaimed"] = reclaimed;
    co_await reply_json(call, 200, reply);
}

async::Task<> disk_usage(Call& call) {
    const auto types = call.query().all("type");
    std::set<std::string> wanted(types.begin(), types.end());
    auto usage = co_await call.engine.housekeeping().disk_usage(std::move(wanted));
    if (usage["Images"].is_array())
        for (auto& image : usage["Images"]) add_virtual_size(call.version, image);
    co_await reply_json(call, 200, usage);
}

// berth's own, for `berth doctor --store`.
async::Task<> check_store(Call& call) {
    const auto check =
        boolean(call.query(), "fix") ? engine::StoreCheck::mend : engine::StoreCheck::look;
    const auto report = co_await call.engine.images().check_store(check, {});
    co_await reply_json(call, 200, report);
}
}  // namespace

void add_housekeeping_routes(Router& router) {
    router.add("POST", "/containers/prune", prune_containers);
    router.add("POST", "/images/prune", prune_images);
    router.add("POST", "/volumes/prune", prune_volumes);
    router.add("POST", "/build/prune", prune_build_cache);
    router.add("GET", "/system/df", disk_usage);
    router.add("POST", "/berth/store/check", check_store);
}

}  // namespace berth::api
