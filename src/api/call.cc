#include "api/call.h"

#include <nlohmann/json.hpp>

#include "api/parameters.h"
#include "base/json.h"
#include "engine/containers.h"
#include "engine/system.h"

namespace berth::api {

namespace {
constexpr std::size_t kMaxJsonBody = 8U << 20;
constexpr std::string_view kRawStream = "application/vnd.docker.raw-stream";
}  // namespace

http::Headers common_headers() {
    static const http::Headers headers{
        {"Api-Version", engine::kApiVersion},
        {"Docker-Experimental", "false"},
        {"Ostype", "linux"},
        {"Server", fmt::format("Docker/{} (linux)", engine::kDockerVersion)}};
    return headers;
}

http::Headers json_headers() {
    http::Headers headers = common_headers();
    headers.add("Content-Type", "application/json");
    return headers;
}

async::Task<> reply_json(Call& call, int status, const nlohmann::json& value) {
    http::Response response;
    response.status = status;
    response.headers = json_headers();
    response.body = dump_json(value) + "\n";
    co_await call.exchange.reply(std::move(response));
}

async::Task<> reply_empty(Call& call, int status) {
    http::Response response;
    response.status = status;
    response.headers = common_headers();
    co_await call.exchange.reply(std::move(response));
}

async::Task<nlohmann::json> read_json(Call& call, BodyRule rule) {
    std::string text;
    if (call.exchange.has_body()) {
        check_json_content_type(call.request().headers.get("Content-Type"));
        text = co_await call.exchange.read_whole_body(kMaxJsonBody);
    }
    if (text.empty()) {
        if (rule == BodyRule::required)
            throw Error(ErrorKind::invalid, "invalid JSON: got EOF while reading request body");
        co_return nlohmann::json::object();
    }
    nlohmann::json value = parse_json(text);
    if (value.is_null() && rule == BodyRule::optional) value = nlohmann::json::object();
    if (!value.is_object())
        throw Error(ErrorKind::invalid, "invalid JSON: the request's body must be an object");
    check_no_zero_bytes(value);
    co_return value;
}

Framing framing_of(engine::StreamKind kind) {
    return kind == engine::StreamKind::multiplexed ? Framing::multiplexed : Framing::raw;
}

std::string stream_content_type(ApiVersion version, Framing framing) {
    const bool multiplexed = framing == Framing::multiplexed && version >= ApiVersion{1, 42};
    return std::string(multiplexed ? "application/vnd.docker.multiplexed-stream" : kRawStream);
}

std::string hijack_head(const http::Request& request, const std::string& content_type,
                        const http::Headers& extra) {
    std::string head;
    if (request.headers.find("Upgrade") != nullptr)
        head = fmt::format(
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: {}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n",
            content_type);
    else
        head = fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\n", kRawStream);
    for (const auto& [name, value] : extra.entries())
        head += fmt::format("{}: {}\r\n", name, value);
    return head + "\r\n";
}

}  // namespace berth::api
