#include "cli/registry_auth.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace berth::cli {
namespace {

constexpr std::string_view kHubKey = "https://index.docker.io/v1/";
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode_base64url(std::string_view bytes) {
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        unsigned group = 0;
        for (std::size_t j = 0; j < 3; ++j)
            group =
                group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
        for (std::size_t j = 0; j < 4; ++j)
            text += i + j <= bytes.size() ? kAlphabet[group >> (18 - 6 * j) & 63] : '=';
    }
    return text;
}

std::string decode_base64(std::string_view text) {
    std::string bytes;
    unsigned group = 0;
    int bits = 0;
    for (char c : text) {
        if (c == '+') c = '-';
        if (c == '/') c = '_';
        const auto value = kAlphabet.find(c);
        if (value == std::string_view::npos) break;
        group = group << 6 | static_cast<unsigned>(value);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes += static_cast<char>(group >> bits & 255);
        }
    }
    return bytes;
}

std::string registry_of(const std::string& reference) {
    const auto slash = reference.find('/');
    const std::string first = reference.substr(0, slash);
    const bool is_host = slash != std::string::npos &&
                         (first.find_first_of(".:") != std::string::npos || first == "localhost");
    return is_host && first != "docker.io" && first != "index.docker.io" ? first
                                                                         : std::string(kHubKey);
}

}  // namespace

std::string registry_auth(const std::string& reference) {
    const char* directory = ::secure_getenv("DOCKER_CONFIG");
    const char* home = ::secure_getenv("HOME");
    if (!directory && !home) return "";
    const std::string path = directory ? std::string(directory) + "/config.json"
                                       : std::string(home) + "/.docker/config.json";
    const auto text = read_file_if_exists(path);
    if (!text) return "";
    try {
        const nlohmann::json document = parse_json(*text);
        const std::string registry = registry_of(reference);
        const JsonReader entry = JsonReader(document).object("auths").object(registry);
        const std::string pair = decode_base64(entry.string("auth"));
        const auto colon = pair.find(':');
        if (colon == std::string::npos) return "";
        const nlohmann::json header{{"username", pair.substr(0, colon)},
                                    {"password", pair.substr(colon + 1)},
                                    {"identitytoken", entry.string("identitytoken")},
                                    {"serveraddress", registry}};
        return encode_base64url(dump_json(header));
    } catch (Error& error) {
        throw error.while_("reading {}", path);
    }
}

}  // namespace berth::cli
