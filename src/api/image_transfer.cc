// Images that come in and go out: pull and import (POST /images/create), load, save.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/download.h"
#include "api/parameters.h"
#include "api/progress.h"
#include "api/routes.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
async::Task<> pull(Call& call) {
    engine::PullRequest request;
    request.from_image = call.query().get("fromImage");
    request.tag = call.query().get("tag");
    request.platform = call.query().get("platform");
    request.registry_auth = call.request().headers.get("X-Registry-Auth");
    ProgressWork work = [&call, &request](engine::ProgressSink sink, std::stop_token stop) {
        return call.engine.images().pull(std::move(request), std::move(sink), std::move(stop));
    };
    co_await reply_with_progress(call, std::move(work));
}

async::Task<> import_body(engine::Engine& engine, UniqueFd body, engine::ImportRequest request,
                          engine::ProgressSink sink, std::stop_token stop) {
    const std::string id =
        co_await engine.images().import(std::move(body), std::move(request), std::move(stop));
    const nlohmann::json line{{"status", id}};
    sink(line);
}

async::Task<> import_url(engine::Engine& engine, engine::ImportRequest request,
                         engine::ProgressSink sink, std::stop_token stop) {
    const nlohmann::json line{{"status", "Downloading from " + request.source}};
    sink(line);
    co_await import_body(engine, UniqueFd(), std::move(request), std::move(sink), std::move(stop));
}

async::Task<> import(Call& call) {
    const auto& query = call.query();
    engine::ImportRequest request;
    request.source = query.get("fromSrc");
    request.repository = query.get("repo");
    request.tag = query.get("tag");
    request.message = query.get("message");
    request.platform = query.get("platform");
    request.changes = query.all("changes");
    if (request.source != "-") {
        if (request.source.find("://") == std::string::npos)
            request.source = "http://" + request.source;
        ProgressWork work = [&call, &request](engine::ProgressSink sink, std::stop_token stop) {
            return import_url(call.engine, std::move(request), std::move(sink), std::move(stop));
        };
        co_await reply_with_progress(call, std::move(work));
        co_return;
    }
    BodyWork work = [&call, &request](UniqueFd body, engine::ProgressSink sink,
                                      std::stop_token stop) {
        return import_body(call.engine, std::move(body), std::move(request), std::move(sink),
                           std::move(stop));
    };
    co_await reply_with_progress_of_body(call, std::move(work));
}

async::Task<> create(Call& call) {
    const bool pulls = !call.query().get("fromImage").empty();
    if (!pulls && call.query().get("fromSrc").empty())
        throw Error(ErrorKind::invalid, "neither fromImage nor fromSrc is given");
    if (pulls) {
        co_await pull(call);
    } else {
        co_await import(call);
    }
}

async::Task<> load(Call& call) {
    engine::LoadRequest request{.platform = platform(call.query())};
    if (boolean(call.query(), "quiet")) request.output = engine::LoadOutput::quiet;
    BodyWork work = [&call, &request](UniqueFd body, engine::ProgressSink sink,
                                      std::stop_token stop) {
        return call.engine.images().load(std::move(body), request, std::move(sink),
                                         std::move(stop));
    };
    co_await reply_with_progress_of_body(call, std::move(work));
}

async::Task<> reply_with_archive(Call& call, std::vector<std::string> names) {
    http::Headers headers = common_headers();
    headers.set("Content-Type", "application/x-tar");
    engine::SaveRequest request{.names = std::move(names), .platform = platform(call.query())};
    DownloadWork work = [&call, &request](UniqueFd into, std::stop_token stop) {
        return call.engine.images().save(request, std::move(into), std::move(stop));
    };
    co_await reply_with_download(call, std::move(headers), std::move(work));
}

async::Task<> save(Call& call) {
    std::vector<std::string> names = call.query().all("names");
    if (names.empty())
        throw Error(ErrorKind::invalid, "no image was named: names=IMAGE, once for each image");
    co_await reply_with_archive(call, std::move(names));
}

async::Task<> save_one(Call& call) {
    std::vector<std::string> names{call.name};
    co_await reply_with_archive(call, std::move(names));
}
}  // namespace

void add_image_transfer_routes(Router& router) {
    router.add("POST", "/images/create", create);
    router.add("POST", "/images/load", load);
    router.add("GET", "/images/get", save);
    router.add("GET", "/images/{name...}/get", save_one);
}

}  // namespace berth::api
