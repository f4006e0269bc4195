#include "engine/build/registry_config.h"

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/json.h"
#include "base/registry_host.h"
#include "image/reference.h"

namespace berth::engine {

namespace {

constexpr const char* kHub = "docker.io";

/// "https://index.docker.io/v1/" as docker.io, "https://r:5000" as r:5000.
std::string host_of(const std::string& key) {
    const std::string host = host_of_server(key);
    return host == "index.docker.io" ? kHub : host;
}

async::Task<std::string> look_up(const std::map<std::string, std::string>& headers,
                                 std::string image) {
    const auto found = headers.find(image::Reference::parse(image).domain());
    co_return found == headers.end() ? "" : found->second;
}

}  // namespace

RegistryAuth registry_auth_of(const std::string& header) {
    std::map<std::string, std::string> headers;
    try {
        const nlohmann::json all = parse_json(decode_base64(header));
        for (const auto& [key, value] : all.items())
            headers[host_of(key)] = encode_base64url(dump_json(value));
    } catch (const Error&) {
        headers.clear();
    }
    return [headers = std::move(headers)](std::string image) {
        return look_up(headers, std::move(image));
    };
}

}  // namespace berth::engine
