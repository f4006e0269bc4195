#include "api/server.h"

#include <algorithm>

#include "api/call.h"
#include "api/errors.h"
#include "api/routes.h"
#include "base/log.h"
#include "buildkit/service.h"
#include "engine/engine.h"
#include "http/server.h"

namespace berth::api {

struct Server::Parts final {
    Parts(const async::Executor& executor, engine::Engine& served)
        : engine(served),
          oldest(ApiVersion::parse(served.settings().min_api_version)),
          streams(executor),
          buildkit(executor, served, streams),
          http(executor, [this](http::Exchange& exchange) { return answer(exchange); }) {
        add_system_routes(router);
        add_archive_routes(router);
        add_container_routes(router);
        add_container_stream_routes(router);
        add_container_usage_routes(router);
        add_exec_routes(router);
        add_housekeeping_routes(router);
        add_image_routes(router);
        add_image_transfer_routes(router);
        add_registry_routes(router);
        add_volume_routes(router);
        add_build_routes(router);
        add_buildkit_routes(router);
        add_network_routes(router);
        add_unserved_routes(router);
    }

    async::Task<> answer(http::Exchange& exchange);
    async::Task<> dispatch(http::Exchange& exchange);

    engine::Engine& engine;
    const ApiVersion oldest;
    Router router;
    async::TaskGroup streams;
    buildkit::Service buildkit;
    http::Server http;
};

namespace {
/// As dockerd's router: a client whose address ends in a slash sends "//v1.45/info".
async::Task<> redirect(http::Exchange& exchange, const std::string& path) {
    http::Response response;
    response.status = 301;
    const std::string& target = exchange.request().target;
    std::string location;
    for (const char c : path) location += c == '/' ? "/" : http::encode_percent({&c, 1});
    location += target.substr(std::min(target.find('?'), target.size()));
    response.headers.set("Location", std::move(location));
    co_await exchange.reply(std::move(response));
}

async::Task<> reply_to_probe(http::Exchange& exchange) {
    http::Response response;
    response.headers = common_headers();
    co_await exchange.reply(std::move(response));
}
}  // namespace

async::Task<> Server::Parts::dispatch(http::Exchange& exchange) {
    const auto& request = exchange.request();
    if (request.version >= 11 && request.headers.find("Host") == nullptr)
        throw Error(ErrorKind::invalid, "missing required Host header");
    if (!request.query_problem.empty())
        throw Error(ErrorKind::invalid, "{}", request.query_problem);
    if (const std::string path = clean_path(request.path); path != request.path)
        co_return co_await redirect(exchange, path);
    const VersionedPath versioned = split_version(request.path);
    if (request.method == "OPTIONS") co_return co_await reply_to_probe(exchange);
    auto match = router.find(request.method, versioned.path);
    if (!match) throw Error(ErrorKind::not_found, "page not found");
    check_version(versioned.version, oldest);
    const ApiVersion version = shape_for(request.headers.get("User-Agent"), versioned.version);
    Call call{exchange, engine, streams, version, std::move(match->name), buildkit};
    co_await match->handler(call);
}

async::Task<> Server::Parts::answer(http::Exchange& exchange) {
    std::exception_ptr failure;
    try {
        co_await dispatch(exchange);
    } catch (...) {
        failure = std::current_exception();
    }
    const auto& request = exchange.request();
    if (!failure) {
        log::debug("method={} path={}", request.method, request.path);
        co_return;
    }
    const Error error = async::to_error(failure);
    log::debug("method={} path={} error=\"{}\"", request.method, request.path, error.message());
    if (exchange.replied() || error.kind() == ErrorKind::cancelled) std::rethrow_exception(failure);
    if (error.kind() == ErrorKind::internal)
        log::error("method={} path={} error=\"{}\"", request.method, request.path, error.message());
    http::Response response = error_response(error);
    const http::Headers common = common_headers();
    for (const auto& [name, value] : common.entries()) response.headers.set(name, value);
    co_await exchange.reply(std::move(response));
}

Server::Server(async::Executor executor, engine::Engine& engine)
    : parts_(std::make_unique<Parts>(executor, engine)) {}

Server::~Server() = default;

void Server::listen(UniqueFd listener) { parts_->http.listen(std::move(listener)); }

async::Task<> Server::stop(SteadyTime deadline) {
    co_await parts_->http.stop(deadline);
    co_await parts_->streams.stop(deadline);
}

async::Task<> refuse_clients(async::Executor executor, std::vector<UniqueFd> listeners,
                             Error failure, std::chrono::milliseconds time) {
    const Error told(ErrorKind::unavailable, "the engine cannot start: {}", failure.message());
    auto refuse = [&told](http::Exchange& exchange) -> async::Task<> {
        http::Response response = error_response(told);
        const http::Headers common = common_headers();
        for (const auto& [name, value] : common.entries()) response.headers.set(name, value);
        co_await exchange.reply(std::move(response));
    };
    http::Server server(executor, std::move(refuse));
    for (UniqueFd& listener : listeners) server.listen(std::move(listener));
    co_await async::sleep_for(time);
    co_await server.stop(std::chrono::steady_clock::now() + time);
}

}  // namespace berth::api
