#include "image/registry_session.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "image/registry_error.h"

namespace berth::image {
namespace {

constexpr std::size_t kMaxTokenBytes = 1U << 20;

std::string query_joined(const std::string& url, const std::string& query) {
    return url + (url.find('?') == std::string::npos ? "?" : "&") + query;
}

bool is_https(const std::string& url) { return url.starts_with("https://"); }

/// It is looked up below certs.d and among the insecure ones. Throws Error when it is none.
std::string host_of_url(const std::string& realm) {
    const std::size_t scheme = realm.find("://");
    std::string host = scheme == std::string::npos ? "" : realm.substr(scheme + 3);
    host.resize(std::min(host.find_first_of("/?#"), host.size()));
    if (host.empty() || host.starts_with('.') || host.find('@') != std::string::npos)
        throw Error(ErrorKind::invalid, "the registry names no usable address: '{}'", realm);
    return host;
}

std::string basic(const Credentials& credentials) {
    return "Basic " + encode_base64(credentials.username + ":" + credentials.password);
}

std::string parameter(const Challenge& challenge, const std::string& key) {
    const auto found = challenge.parameters.find(key);
    return found == challenge.parameters.end() ? std::string() : found->second;
}

bool may_identify(const RegistryEndpoint& endpoint, const Credentials& credentials) {
    return endpoint.role == RegistryEndpoint::Role::registry && !credentials.empty();
}

}  // namespace

bool wants_https(const HttpResponse& response) {
    return response.status == 400 && (response.body.find("HTTPS server") != std::string::npos ||
                                      response.body.find("HTTPS port") != std::string::npos);
}

RegistrySession::RegistrySession(const RegistrySettings& settings,
                                 std::vector<RegistryEndpoint> endpoints, Credentials credentials,
                                 SessionOptions options)
    : settings_(settings),
      endpoints_(std::move(endpoints)),
      credentials_(std::move(credentials)),
      options_(std::move(options)),
      transport_(settings) {}

HttpRequest RegistrySession::token_request(const Challenge& challenge, bool identified,
                                           const std::string& more_scope) const {
    HttpRequest request;
    request.body_limit = kMaxTokenBytes;
    request.url = parameter(challenge, "realm");
    std::string query;
    const auto add = [&query](const std::string& key, const std::string& value) {
        if (!value.empty()) query += (query.empty() ? "" : "&") + key + "=" + url_encode(value);
    };
    const bool refreshes = identified && !credentials_.identity_token.empty();
    add("service", parameter(challenge, "service"));
    if (refreshes) {
        // OAuth2 has one scope, a list.
        add("scope", options_.scope + (more_scope.empty() ? "" : " " + more_scope));
        request.method = "POST";
        request.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
        request.body = "grant_type=refresh_token&client_id=docker&refresh_token=" +
                       url_encode(credentials_.identity_token) + (query.empty() ? "" : "&") + query;
        return request;
    }
    add("scope", options_.scope);
    add("scope", more_scope);
    if (options_.wish == TokenWish::identity) {
        add("offline_token", "true");
        add("client_id", "docker");
    }
    if (identified) {
        add("account", credentials_.username);
        request.authorization = basic(credentials_);
    }
    if (!query.empty()) request.url = query_joined(request.url, query);
    return request;
}

std::string RegistrySession::fetch_token(const RegistryEndpoint& endpoint,
                                         const Challenge& challenge, const std::string& more_scope,
                                         std::stop_token stop) {
    const bool identified = may_identify(endpoint, credentials_);
    const std::string realm = parameter(challenge, "realm");
    if (!realm.starts_with("http://") && !is_https(realm))
        throw Error(ErrorKind::invalid, "the registry names no usable token service: '{}'", realm);
    const std::string host = host_of_url(realm);
    if (identified && is_https(endpoint.base) && !is_https(realm))
        throw Error(ErrorKind::denied, "refusing to send credentials in the open to {}", realm);
    const TlsCheck check = is_insecure(settings_, host) ? TlsCheck::accept_any : TlsCheck::verify;
    const HttpResponse response =
        transport_.exchange(token_request(challenge, identified, more_scope),
                            read_host_tls(settings_.certificate_directories, host, check), stop);
    if (response.status != 200) {
        const std::string what = "token for " + options_.name;
        throw options_.scope.ends_with("push") ? push_error(response, what)
                                               : registry_error(response, options_.name, what);
    }
    const nlohmann::json document = parse_json(response.body);
    const JsonReader reader(document, "token");
    std::string token = reader.string("token");
    if (token.empty()) token = reader.string("access_token");
    if (token.empty() || token.find_first_of("\r\n") != std::string::npos)
        throw Error(ErrorKind::invalid, "the token service {} gave no token", realm);
    const std::lock_guard lock(mutex_);
    if (options_.wish == TokenWish::identity) identity_token_ = reader.string("refresh_token");
    return token;
}

RegistrySession::Authorization RegistrySession::authorize(const RegistryEndpoint& endpoint,
                                                          const HttpResponse& refused,
                                                          const std::string& more_scope,
                                                          std::stop_token stop) {
    Authorization result;
    const auto header = refused.headers.find("www-authenticate");
    if (header == refused.headers.end()) return result;
    const bool identified = may_identify(endpoint, credentials_);
    for (const Challenge& challenge : parse_challenges(header->second)) {
        result.challenge = challenge.scheme;
        if (challenge.scheme == "bearer") {
            const bool has_token = identified && !credentials_.registry_token.empty();
            result.value =
                "Bearer " + (has_token ? credentials_.registry_token
                                       : fetch_token(endpoint, challenge, more_scope, stop));
            return result;
        }
        if (challenge.scheme == "basic" && identified && !credentials_.username.empty()) {
            result.value = basic(credentials_);
            return result;
        }
    }
    return result;
}

HttpResponse RegistrySession::exchange(const RegistryEndpoint& endpoint, HttpRequest request,
                                       std::stop_token stop, const std::string& more_scope) {
    if (!request.url.starts_with(endpoint.base + "/")) {  // an upload that goes elsewhere
        const std::string host = host_of_url(request.url);
        const TlsCheck check =
            is_insecure(settings_, host) ? TlsCheck::accept_any : TlsCheck::verify;
        return transport_.exchange(
            request, read_host_tls(settings_.certificate_directories, host, check), stop);
    }
    const HostTls tls =
        read_host_tls(settings_.certificate_directories, endpoint.host, endpoint.check);
    const std::string key = endpoint.base + " " + more_scope;
    {
        const std::lock_guard lock(mutex_);
        request.authorization = authorization_[key];
    }
    HttpResponse response = transport_.exchange(request, tls, stop);
    if (response.status != 401) return response;
    const Authorization fresh = authorize(endpoint, response, more_scope, stop);
    if (fresh.challenge == "basic" && credentials_.username.empty() &&
        endpoint.role == RegistryEndpoint::Role::registry)
        // Not {unauthorized}, as dockerd: at that the CLI asks for a name, without a terminal too.
        throw Error(ErrorKind::internal, "{} \"{}\": no basic auth credentials",
                    shown_method(request), request.url);
    if (fresh.value.empty() || fresh.value == request.authorization) return response;
    {
        const std::lock_guard lock(mutex_);
        authorization_[key] = fresh.value;
    }
    if (request.upload)
        throw Error(ErrorKind::unavailable, "{}: the registry's token ran out", options_.name);
    request.authorization = fresh.value;
    response = transport_.exchange(request, tls, stop);
    if (response.status == 401 && fresh.challenge == "bearer" && credentials_.empty()) {
        // A token without the right: Docker words that as a refusal, not as a wish for a login.
        response.status = 403;
        response.body.clear();
    }
    return response;
}

std::string RegistrySession::identity_token() {
    const std::lock_guard lock(mutex_);
    return identity_token_;
}

}  // namespace berth::image
