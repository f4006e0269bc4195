// POST /build?version=2: a build by BuildKit's rules for clients without buildx (docker up to 20.10
// with DOCKER_BUILDKIT=1, SDKs), whose files and secrets are on a session or in the body. What
// such a build tells comes as "aux" objects of the stream.
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "api/build_request.h"
#include "api/call.h"
#include "api/parameters.h"
#include "api/progress.h"
#include "api/routes.h"
#include "api/upload.h"
#include "base/base64.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "buildkit/service.h"

namespace berth::api {

namespace {
using buildkit::Attributes;

// What clients write where the body is no context: on the session, or in another request's body.
constexpr std::string_view kOnSession = "client-session";
constexpr std::string_view kUploaded = "upload-request";

/// The options that buildx would send to the Dockerfile frontend.
Attributes frontend_options(const http::Query& query, const engine::BuildRequest& request) {
    Attributes options;
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) options[name] = value;
    };
    const std::string remote = query.get("remote");
    if (remote != kOnSession && remote != kUploaded) add("context", remote);
    add("filename", query.get("dockerfile"));
    add("target", request.target);
    add("platform", request.platform);
    add("image-resolve-mode", request.pull ? "pull" : "default");
    if (request.no_cache) options["no-cache"] = "";
    for (const auto& [name, value] : request.arguments)
        if (value) options["build-arg:" + name] = *value;
    for (const auto& [name, value] : request.labels) options["label:" + name] = value;
    const engine::model::HostConfig& host = request.host;
    if (host.network_mode != "default") add("force-network-mode", host.network_mode);
    std::vector<std::string> hosts = host.extra_hosts;
    for (std::string& entry : hosts)
        if (const auto colon = entry.find(':'); colon != std::string::npos) entry[colon] = '=';
    add("add-hosts", fmt::format("{}", fmt::join(hosts, ",")));
    if (host.shm_size > 0) options["shm-size"] = std::to_string(host.shm_size);
    std::vector<std::string> limits;
    for (const auto& limit : host.ulimits)
        limits.push_back(fmt::format("{}={}:{}", limit.name, limit.soft, limit.hard));
    add("ulimit", fmt::format("{}", fmt::join(limits, ",")));
    return options;
}

/// [{"Type":"local","Attrs":{…}}]; without any the result goes to the image store.
std::vector<buildkit::Typed> exporters(const http::Query& query,
                                       const std::vector<std::string>& tags) {
    const nlohmann::json outputs{{"outputs", json_parameter(query, "outputs")}};
    std::vector<buildkit::Typed> list;
    for (const JsonReader& output : JsonReader(outputs).objects("outputs"))
        list.push_back({output.string("Type"), output.string_map("Attrs")});
    if (list.size() > 1) throw Error(ErrorKind::invalid, "multiple outputs not supported");
    if (list.empty()) list.push_back({"moby", {}});
    if (list.front().type == "cacheonly") list.clear();
    for (buildkit::Typed& exporter : list)
        if (exporter.type == "moby" || exporter.type == "image")
            exporter.attributes["name"] = fmt::format("{}", fmt::join(tags, ","));
    return list;
}

std::shared_ptr<buildkit::Build> make_build(const http::Query& query,
                                            engine::BuildRequest request) {
    const auto build = std::make_shared<buildkit::Build>();
    build->id = query.get("buildid");
    build->request.ref = random_hex_id();
    build->request.session = query.get("session");
    build->request.frontend = "dockerfile.v0";
    build->request.options = frontend_options(query, request);
    build->request.exporters = exporters(query, request.tags);
    for (const std::string& image : request.cache_from)
        build->request.cache_imports.push_back({"registry", {{"ref", image}}});
    build->registry_auth = std::move(request.registry_auth);
    return build;
}

/// Passes on what the build tells, as its clients unpack it.
async::Task<> tell_progress(std::shared_ptr<buildkit::Build> build, engine::ProgressSink sink,
                            std::shared_ptr<async::Event> told) {
    const auto reader = build->progress->read();
    std::exception_ptr failure;
    try {
        for (;;) {
            const auto message = co_await reader->next();
            if (!message) break;
            sink({{"id", "moby.buildkit.trace"}, {"aux", encode_base64(*message)}});
        }
    } catch (...) {
        failure = std::current_exception();
    }
    told->set();
    if (failure) std::rethrow_exception(failure);
}

void tell_result(const Attributes& response, const engine::ProgressSink& sink, bool id_only) {
    const auto image = response.find("containerimage.digest");
    if (image == response.end()) return;
    if (id_only)
        sink({{"stream", image->second + "\n"}});
    else
        sink({{"id", "moby.image.id"}, {"aux", {{"ID", image->second}}}});
}

/// What a build needs besides the body.
struct BuildCall final {
    buildkit::Service& service;
    std::shared_ptr<buildkit::Build> build;
    std::string remote;
    bool quiet = false;
};

async::Task<> run_build(BuildCall& call, UniqueFd body, engine::ProgressSink sink,
                        std::stop_token stop) {
    const std::shared_ptr<buildkit::Build> build = call.build;
    if (call.remote == kUploaded)
        build->archive = co_await call.service.take_upload(build->id);
    else if (call.remote.empty())
        build->archive = std::move(body);
    body = UniqueFd();
    const auto told = std::make_shared<async::Event>();
    if (call.quiet)
        told->set();
    else
        call.service.tasks().spawn("build progress", tell_progress(build, sink, told));
    const auto cancel = [build] { build->cancel.cancel(); };
    const std::stop_callback on_stop(stop, cancel);
    std::optional<Error> failure;
    try {
        co_await async::run_cancellable(build->cancel, call.service.solve(build));
    } catch (...) {
        failure = async::to_error(std::current_exception());
    }
    co_await told->wait();
    if (failure && call.quiet) throw *failure;
    if (failure)
        sink(failure_object(*failure));
    else
        tell_result(build->response, sink, call.quiet);
}

/// The body of a build that waits for it in another request.
async::Task<> upload(Call& call, std::string build) {
    UploadWork work = [&call, &build](UniqueFd body, std::stop_token) {
        return call.buildkit.offer_upload(build, std::move(body));
    };
    co_await run_with_body(call, std::move(work));
    co_await reply_empty(call, 200);
}
}  // namespace

async::Task<> build_with_buildkit(Call& call) {
    const http::Query& query = call.query();
    const std::string id = query.get("buildid");
    const std::string prefix = std::string(kUploaded) + ":";
    if (id.starts_with(prefix)) {
        co_await upload(call, id.substr(prefix.size()));
        co_return;
    }
    BuildCall work{.service = call.buildkit,
                   .build = make_build(query, build_request(call)),
                   .remote = query.get("remote"),
                   .quiet = boolean(query, "q")};
    BodyWork with_body = [&work](UniqueFd body, engine::ProgressSink sink, std::stop_token stop) {
        return run_build(work, std::move(body), std::move(sink), std::move(stop));
    };
    co_await reply_with_progress_of_body(call, std::move(with_body));
}

async::Task<> cancel_build(Call& call) {
    const std::string id = call.query().get("id");
    if (id.empty()) throw Error(ErrorKind::invalid, "build ID not provided");
    call.buildkit.cancel(id);
    co_await reply_empty(call, 200);
}

}  // namespace berth::api
