#include "cli/engine_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace berth::cli {
namespace {

using nlohmann::json;

constexpr std::string_view kVersionPrefix = "/v1.51";

// `invalid` is kept for our own command line, whose errors have an exit code of their own.
ErrorKind kind_of(int status) {
    switch (status) {
        case 401:
            return ErrorKind::unauthorized;
        case 403:
            return ErrorKind::denied;
        case 404:
            return ErrorKind::not_found;
        case 409:
            return ErrorKind::conflict;
        case 501:
            return ErrorKind::unsupported;
        case 503:
            return ErrorKind::unavailable;
        default:
            return ErrorKind::internal;
    }
}

[[noreturn]] void throw_api_error(http::ClientResponse& response) {
    const std::string body = response.read_all();
    std::string message = body;
    try {
        const json document = parse_json(body);
        message = JsonReader(document).string("message", body);
    } catch (const Error&) {
        // Not JSON: the body itself is the message.
    }
    throw Error::with_text(kind_of(response.status()), message);
}

http::ClientRequest json_request(std::string method, const std::string& path, const json& body) {
    http::ClientRequest request{std::move(method), std::string(kVersionPrefix) + path, {}, {}, {}};
    if (!body.is_null()) {
        request.headers.set("Content-Type", "application/json");
        request.body = dump_json(body);
    }
    return request;
}

}  // namespace

bool answers(const std::string& host, std::chrono::milliseconds patience) {
    try {
        const UniqueFd connection = http::connect_to(host);
        write_all(connection, "GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n");
        pollfd watched{connection.get(), POLLIN, 0};
        std::array<char, 16> head{};
        if (::poll(&watched, 1, static_cast<int>(patience.count())) != 1) return false;
        const ssize_t count = ::recv(connection.get(), head.data(), head.size(), MSG_DONTWAIT);
        const std::string_view line(head.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
        return line.starts_with("HTTP/1.") && line.substr(8).starts_with(" 200");
    } catch (const Error&) {
        return false;
    }
}

http::ClientResponse EngineClient::send(const http::ClientRequest& request) {
    http::ClientRequest versioned = request;
    if (!versioned.target.starts_with(kVersionPrefix))
        versioned.target = std::string(kVersionPrefix) + versioned.target;
    http::ClientResponse response = client_.send(versioned);
    if (response.status() >= 400) throw_api_error(response);
    return response;
}

json EngineClient::get(const std::string& path) {
    return parse_json(send(json_request("GET", path, nullptr)).read_all());
}

json EngineClient::post(const std::string& path, const json& body) {
    const std::string answer = send(json_request("POST", path, body)).read_all();
    return answer.empty() ? json() : parse_json(answer);
}

void EngineClient::remove(const std::string& path) {
    send(json_request("DELETE", path, nullptr)).read_all();
}

http::Upgraded EngineClient::hijack(const std::string& path, const json& body) {
    http::ClientRequest request = json_request("POST", path, body);
    request.headers.set("Connection", "Upgrade");
    request.headers.set("Upgrade", "tcp");
    http::ClientResponse response = send(request);
    if (response.status() != 101)
        throw Error(ErrorKind::internal, "the engine answered {} instead of 101",
                    response.status());
    return response.upgrade();
}

}  // namespace berth::cli
