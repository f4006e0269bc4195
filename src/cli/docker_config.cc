#include "cli/docker_config.h"

#include <stdlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/registry_host.h"
#include "base/text.h"
#include "cli/credential_helper.h"

namespace berth::cli {
namespace {

using Json = nlohmann::ordered_json;

bool is_hub(const std::string& host) {
    return host.empty() || host == "docker.io" || host == "index.docker.io" ||
           host == "registry-1.docker.io";
}

std::string config_path() {
    const std::string directory = docker_directory();
    return directory.empty() ? "" : directory + "/config.json";
}

/// Keys of old files are URLs.
std::string find_key(const Json& auths, const std::string& registry) {
    if (auths.contains(registry)) return registry;
    for (const auto& item : auths.items())
        if (registry_key(item.key()) == registry) return item.key();
    return "";
}

Login read_login(const Json& entry) {
    const nlohmann::json value = entry;
    const JsonReader reader(value, "auths");
    const std::string pair = decode_base64(reader.string("auth"));
    const std::size_t colon = std::min(pair.find(':'), pair.size());
    Login login{.username = pair.substr(0, colon),
                .password = pair.substr(std::min(colon + 1, pair.size())),
                .identity_token = reader.string("identitytoken")};
    if (login.username.empty()) login.username = reader.string("username");
    if (login.password.empty()) login.password = reader.string("password");
    return login;
}

Json write_login(const Login& login) {
    Json entry = Json::object();
    // With a token the password is not kept.
    entry["auth"] =
        encode_base64(login.username + ":" + (login.identity_token.empty() ? login.password : ""));
    if (!login.identity_token.empty()) entry["identitytoken"] = login.identity_token;
    return entry;
}

}  // namespace

std::string docker_directory() {
    if (const char* value = ::secure_getenv("DOCKER_CONFIG"); value && *value) return value;
    const char* home = ::secure_getenv("HOME");
    return home && *home ? std::string(home) + "/.docker" : "";
}

std::string registry_key(const std::string& server) {
    const std::string host = host_of_server(server);
    return is_hub(host) ? kHubKey : host;
}

std::string registry_of(const std::string& reference) {
    return registry_key(std::string(registry_host_of(reference)));
}

DockerConfig::DockerConfig()
    : path_(config_path()), document_(std::make_unique<Json>(Json::object())) {
    const auto text = path_.empty() ? std::nullopt : read_file_if_exists(path_);
    if (!text || text->find_first_not_of(" \t\r\n") == std::string::npos) return;
    try {
        parse_json(*text);  // for its limits and its messages
        *document_ = Json::parse(*text);
    } catch (Error& error) {
        throw error.while_("reading {}", path_);
    }
    if (!document_->is_object())
        throw Error(ErrorKind::invalid, "reading {}: expected an object", path_);
}

DockerConfig::~DockerConfig() = default;

std::string DockerConfig::helper_of(const std::string& registry) const {
    const nlohmann::json value = *document_;
    const JsonReader reader(value, path_);
    const std::string own = reader.object("credHelpers").string(registry);
    return own.empty() ? reader.string("credsStore") : own;
}

std::optional<Login> DockerConfig::find(const std::string& registry) const {
    if (const std::string helper = helper_of(registry); !helper.empty())
        return ask_credential_helper(helper, registry);
    const auto auths = document_->find("auths");
    if (auths == document_->end() || !auths->is_object()) return std::nullopt;
    const std::string key = find_key(*auths, registry);
    if (key.empty()) return std::nullopt;
    try {
        Login login = read_login((*auths)[key]);
        if (login.username.empty() && login.identity_token.empty()) return std::nullopt;
        return login;
    } catch (Error& error) {
        throw error.while_("reading {}", path_);
    }
}

void DockerConfig::store(const std::string& registry, const Login& login) {
    const std::string helper = helper_of(registry);
    if (!helper.empty()) tell_credential_helper(helper, registry, login);
    Json& auths = (*document_)["auths"];
    if (!auths.is_object()) auths = Json::object();
    if (const std::string old = find_key(auths, registry); !old.empty() && old != registry)
        auths.erase(old);
    auths[registry] = helper.empty() ? write_login(login) : Json::object();
    write();
}

bool DockerConfig::erase(const std::string& registry) {
    const std::string helper = helper_of(registry);
    const bool was_there = find(registry).has_value();
    if (!helper.empty()) erase_at_credential_helper(helper, registry);
    const auto auths = document_->find("auths");
    const std::string key = auths == document_->end() ? "" : find_key(*auths, registry);
    if (key.empty()) return was_there;
    auths->erase(key);
    write();
    return true;
}

std::vector<std::string> DockerConfig::proxy_environment(const std::string& engine) const {
    static constexpr std::array<std::pair<const char*, const char*>, 5> kVariables{
        {{"httpProxy", "HTTP_PROXY"},
         {"httpsProxy", "HTTPS_PROXY"},
         {"noProxy", "NO_PROXY"},
         {"ftpProxy", "FTP_PROXY"},
         {"allProxy", "ALL_PROXY"}}};
    const nlohmann::json value = *document_;
    const JsonReader proxies = JsonReader(value, path_).object("proxies");
    const JsonReader own = proxies.object(proxies.has(engine) ? engine : "default");
    std::vector<std::string> result;
    for (const auto& [key, variable] : kVariables) {
        const std::string proxy = own.string(key);
        if (proxy.empty()) continue;
        result.push_back(variable + ("=" + proxy));
        result.push_back(to_lower(variable) + "=" + proxy);
    }
    return result;
}

void DockerConfig::write() const {
    if (path_.empty()) throw Error(ErrorKind::invalid, "neither HOME nor DOCKER_CONFIG is set");
    make_directories(path_.substr(0, path_.rfind('/')), 0700);
    // The file may be a link into a directory of dot files: what it points at is replaced.
    const std::unique_ptr<char, decltype(&::free)> real(::realpath(path_.c_str(), nullptr), ::free);
    replace_file(real ? real.get() : path_, document_->dump(1, '\t') + "\n", 0600,
                 Durability::power);
}

}  // namespace berth::cli
