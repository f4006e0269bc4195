// What a handler gets, and how it reads JSON and replies. One Call lives for one request.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/version.h"
#include "async/task.h"
#include "http/server.h"

namespace berth::engine {
enum class StreamKind;
class Engine;
}  // namespace berth::engine

namespace berth::buildkit {
class Service;
}

namespace berth::api {

struct Call final {
    http::Exchange& exchange;
    engine::Engine& engine;
    async::TaskGroup& streams;  // what goes on after its connection was handed away
    ApiVersion version;
    std::string name;  // the variable of the route
    buildkit::Service& buildkit;

    const http::Request& request() const { return exchange.request(); }
    const http::Query& query() const { return exchange.request().query; }
};

/// The headers of every normal reply.
http::Headers common_headers();
http::Headers json_headers();

async::Task<> reply_json(Call& call, int status, const nlohmann::json& value);
async::Task<> reply_empty(Call& call, int status);

enum class BodyRule { required, optional };
/// The JSON body; an absent optional one is {}. Throws Error{invalid}.
async::Task<nlohmann::json> read_json(Call& call, BodyRule rule);

/// The content type of a container's stream: raw for terminals and before API 1.42.
enum class Framing { raw, multiplexed };
Framing framing_of(engine::StreamKind kind);
std::string stream_content_type(ApiVersion version, Framing framing);
/// The head that is sent before a connection is taken over.
std::string hijack_head(const http::Request& request, const std::string& content_type,
                        const http::Headers& extra);

}  // namespace berth::api
