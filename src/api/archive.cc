// A container's files: docker cp both ways, diff, export, and commit.
#include <nlohmann/json.hpp>

#include "api/call.h"
#include "api/download.h"
#include "api/parameters.h"
#include "api/routes.h"
#include "api/upload.h"
#include "base/base64.h"
#include "base/json.h"
#include "engine/engine.h"

namespace berth::api {

namespace {
constexpr const char* kStatHeader = "X-Docker-Container-Path-Stat";

std::string path_of(const Call& call) {
    std::string path = call.query().get("path");
    if (path.empty()) throw Error(ErrorKind::invalid, "bad parameter: path cannot be empty");
    return path;
}

std::string stat_text(const engine::PathStat& stat) {
    return encode_base64(dump_json({{"name", stat.name},
                                    {"size", stat.size},
                                    {"mode", stat.mode},
                                    {"mtime", rfc3339(stat.modified)},
                                    {"linkTarget", stat.link_target}}));
}

async::Task<> stat(Call& call) {
    const engine::PathStat found =
        co_await call.engine.containers().stat_path(call.name, path_of(call));
    http::Response response;
    response.headers = common_headers();
    response.headers.set(kStatHeader, stat_text(found));
    co_await call.exchange.reply(std::move(response));
}

async::Task<> get(Call& call) {
    engine::OpenedArchive opened =
        co_await call.engine.containers().open_archive(call.name, path_of(call));
    http::Headers headers = common_headers();
    headers.set("Content-Type", "application/x-tar");
    headers.set(kStatHeader, stat_text(opened.stat));
    DownloadWork work = [&call, &opened](UniqueFd into, std::stop_token stop) {
        return call.engine.containers().send_archive(std::move(opened), std::move(into),
                                                     std::move(stop));
    };
    co_await reply_with_download(call, std::move(headers), std::move(work));
}

async::Task<> put(Call& call) {
    engine::ArchivePut request;
    request.path = path_of(call);
    if (boolean(call.query(), "noOverwriteDirNonDir"))
        request.replacing = engine::ArchiveReplacing::same_kind;
    if (boolean(call.query(), "copyUIDGID")) request.owner = engine::ArchiveOwner::container_user;
    UploadWork work = [&call, &request](UniqueFd body, std::stop_token stop) {
        return call.engine.containers().put_archive(call.name, std::move(request), std::move(body),
                                                    std::move(stop));
    };
    co_await run_with_body(call, std::move(work));
    co_await reply_empty(call, 200);
}

async::Task<> changes(Call& call) {
    co_await reply_json(call, 200, co_await call.engine.containers().changes(call.name));
}

async::Task<> export_root(Call& call) {
    http::Headers headers = common_headers();
    headers.set("Content-Type", "application/octet-stream");
    DownloadWork work = [&call](UniqueFd into, std::stop_token stop) {
        return call.engine.containers().export_root(call.name, std::move(into), std::move(stop));
    };
    co_await reply_with_download(call, std::move(headers), std::move(work));
}

async::Task<> commit(Call& call) {
    const auto body = co_await read_json(call, BodyRule::optional);
    const http::Query& query = call.query();
    engine::CommitRequest request;
    request.repository = query.get("repo");
    request.tag = query.get("tag");
    request.comment = query.get("comment");
    request.author = query.get("author");
    request.changes = query.all("changes");
    if (!boolean(query, "pause", true)) request.pause = engine::CommitPause::no;
    if (!body.empty()) request.config = engine::model::container_config_from(body);
    const std::string id = co_await call.engine.containers().commit(
        query.get("container"), std::move(request), std::stop_token());
    const nlohmann::json reply{{"Id", id}};
    co_await reply_json(call, 201, reply);
}
}  // namespace

void add_archive_routes(Router& router) {
    router.add("HEAD", "/containers/{name}/archive", stat);
    router.add("GET", "/containers/{name}/archive", get);
    router.add("PUT", "/containers/{name}/archive", put);
    router.add("GET", "/containers/{name}/changes", changes);
    router.add("GET", "/containers/{name}/export", export_root);
    router.add("POST", "/commit", commit);
}

}  // namespace berth::api
