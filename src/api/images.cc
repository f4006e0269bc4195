// Images: list, inspect, history, tag, remove. What moves image data is in image_transfer.cc.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/image_size.h"
#include "api/parameters.h"
#include "api/routes.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
// Only df counted containers before 1.51.
void hide_containers(const Call& call, nlohmann::json& image) {
    if (call.version < ApiVersion{1, 51}) image["Containers"] = -1;
}

// Until 1.42 lists showed a missing name.
void add_missing_names(const Call& call, nlohmann::json& image) {
    if (call.version >= ApiVersion{1, 43} || !image["RepoTags"].empty()) return;
    image["RepoTags"] = nlohmann::json::array({"<none>:<none>"});
    if (image["RepoDigests"].empty())
        image["RepoDigests"] = nlohmann::json::array({"<none>@<none>"});
}

// Gone in 1.50: what means nothing to an image.
void add_run_options(const Call& call, nlohmann::json& image) {
    if (call.version >= ApiVersion{1, 50}) return;
    nlohmann::json& config = image["Config"];
    for (const char* key : {"Hostname", "Domainname", "Image"}) config[key] = "";
    for (const char* key :
         {"AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"})
        config[key] = false;
}

// Gone in 1.45. What the image was made with is not kept, and a client of old asks only for what
// the configuration has too: docker-compose 1.29 takes the volumes from here.
void add_container_config(const Call& call, nlohmann::json& image) {
    if (call.version >= ApiVersion{1, 45}) return;
    image["Container"] = "";
    image["ContainerConfig"] = image["Config"];
}

async::Task<> list(Call& call) {
    engine::ImageListRequest request;
    if (boolean(call.query(), "all")) request.scope = engine::ListScope::all;
    request.shared_size = boolean(call.query(), "shared-size");
    request.filters = engine::Filters::parse(call.query().get("filters"));
    auto images = call.engine.images().list(request);
    for (auto& image : images) {
        add_virtual_size(call.version, image);
        add_missing_names(call, image);
        hide_containers(call, image);
    }
    co_await reply_json(call, 200, images);
}

async::Task<> inspect(Call& call) {
    const std::string wanted = platform(call.query());
    // The list of manifests is the containerd store's; a client of it must not ask for both.
    if (boolean(call.query(), "manifests") && !wanted.empty())
        throw Error(ErrorKind::invalid,
                    "conflicting options: manifests and platform options cannot both be set");
    auto image = call.engine.images().inspect(call.name, wanted);
    add_virtual_size(call.version, image);
    add_run_options(call, image);
    add_container_config(call, image);
    co_await reply_json(call, 200, image);
}

async::Task<> history(Call& call) {
    const auto entries = call.engine.images().history(call.name, platform(call.query()));
    co_await reply_json(call, 200, entries);
}

async::Task<> tag(Call& call) {
    co_await call.engine.images().tag(call.name, call.query().get("repo"), call.query().get("tag"));
    co_await reply_empty(call, 201);
}

async::Task<> remove(Call& call) {
    engine::ImageRemoveOptions options;
    options.force = boolean(call.query(), "force");
    options.no_prune = boolean(call.query(), "noprune");
    // An image is of one platform here: one of another has nothing to remove.
    for (const std::string& wanted : platforms(call.query(), "platforms"))
        call.engine.images().inspect(call.name, wanted);
    const auto removed = co_await call.engine.images().remove(call.name, options);
    co_await reply_json(call, 200, removed);
}
}  // namespace

void add_image_routes(Router& router) {
    router.add("GET", "/images/json", list);
    router.add("GET", "/images/{name...}/json", inspect);
    router.add("GET", "/images/{name...}/history", history);
    router.add("POST", "/images/{name...}/tag", tag);
    router.add("DELETE", "/images/{name...}", remove);
}

}  // namespace berth::api
