#include "image/registry.h"

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

#include "archive/digester.h"
#include "base/error.h"
#include "base/json.h"
#include "oci/image_spec.h"

namespace berth::image {
namespace {

constexpr std::size_t kMaxTokenBytes = 1U << 20;
constexpr std::size_t kMaxTagPages = 1000;
constexpr long kTooManyRequests = 429;

struct RegistryComplaint final {
    std::string code;
    std::string message;
};

/// The first entry of {"errors":[{"code","message"}]}; empty for any other body.
RegistryComplaint complaint_of(const std::string& body) {
    try {
        const nlohmann::json document = parse_json(body, {.max_bytes = 1U << 20, .max_depth = 32});
        const JsonReader reader(document);
        for (const JsonReader& entry : reader.objects("errors"))
            return {entry.string("code"), entry.string("message")};
    } catch (const Error&) {
        // Proxies answer with HTML: the status alone must do.
    }
    return {};
}

/// "MANIFEST_UNKNOWN" and "manifest unknown" as Docker joins them: "manifest unknown: manifest
/// unknown".
std::string complaint_text(const RegistryComplaint& complaint, std::string_view fallback) {
    if (complaint.code.empty()) return std::string(fallback);
    std::string code = complaint.code;
    std::ranges::transform(code, code.begin(),
                           [](char c) { return c == '_' ? ' ' : static_cast<char>(::tolower(c)); });
    return complaint.message.empty() ? code : code + ": " + complaint.message;
}

std::string query_joined(const std::string& url, const std::string& query) {
    return url + (url.find('?') == std::string::npos ? "?" : "&") + query;
}

bool is_https(const std::string& url) { return url.starts_with("https://"); }

/// Throws Error when it is none: it is looked up below certs.d and among the insecure ones.
std::string host_of_realm(const std::string& realm) {
    const std::size_t scheme = realm.find("://");
    std::string host = scheme == std::string::npos ? "" : realm.substr(scheme + 3);
    host.resize(std::min(host.find_first_of("/?#"), host.size()));
    if (host.empty() || host.starts_with('.') || host.find('@') != std::string::npos)
        throw Error(ErrorKind::invalid, "the registry names no usable token service: '{}'", realm);
    return host;
}

/// A TLS server's answer to plain HTTP: what went wrong over https before says more.
bool wants_https(const HttpResponse& response) {
    return response.status == 400 && (response.body.find("HTTPS server") != std::string::npos ||
                                      response.body.find("HTTPS port") != std::string::npos);
}

std::string basic(const Credentials& credentials) {
    return "Basic " + encode_base64(credentials.username + ":" + credentials.password);
}

/// The path of `Link: </v2/…?last=x>; rel="next"`, or nothing.
std::string next_page(const HttpResponse& response) {
    const auto link = response.headers.find("link");
    if (link == response.headers.end()) return "";
    const std::size_t open = link->second.find('<');
    const std::size_t close = link->second.find('>');
    if (open == std::string::npos || close == std::string::npos || close < open) return "";
    const std::string target = link->second.substr(open + 1, close - open - 1);
    const std::size_t path = target.find("/v2/");
    return path == std::string::npos ? "" : target.substr(path);
}

}  // namespace

Error registry_error(const HttpResponse& response, const Reference& repository,
                     const std::string& what) {
    const RegistryComplaint complaint = complaint_of(response.body);
    const std::string name = repository.familiar_name();
    const long status = response.status;
    if (status == kTooManyRequests) {
        return Error(ErrorKind::internal, "{}",
                     complaint_text(complaint, "toomanyrequests: the registry limits requests"));
    }
    if (status == 403 || complaint.code == "DENIED") {
        return Error(
            ErrorKind::not_found,
            "pull access denied for {}, repository does not exist or may require "
            "'docker login': {}",
            name, complaint_text(complaint, "denied: requested access to the resource is denied"));
    }
    if (status == 401) {
        return Error(ErrorKind::unauthorized, "{}",
                     complaint_text(complaint, "unauthorized: authentication required"));
    }
    if (status == 404 && complaint.code == "NAME_UNKNOWN") {
        return Error(ErrorKind::not_found, "repository {} not found: {}", name,
                     complaint_text(complaint, ""));
    }
    if (status == 404) {
        return Error(ErrorKind::not_found, "{} not found: {}", what,
                     complaint_text(complaint, "manifest unknown: manifest unknown"));
    }
    const std::string text = complaint_text(complaint, "no explanation");
    if (status >= 500) {
        return Error(ErrorKind::unavailable, "{}: received unexpected HTTP status {}: {}", what,
                     status, text);
    }
    return Error(ErrorKind::internal, "{}: received unexpected HTTP status {}: {}", what, status,
                 text);
}

RegistryClient::RegistryClient(const RegistrySettings& settings, Reference repository,
                               Credentials credentials)
    : settings_(settings),
      repository_(std::move(repository)),
      credentials_(std::move(credentials)),
      endpoints_(endpoints_of(settings, repository_)),
      transport_(settings) {}

std::string RegistryClient::url_of(const RegistryEndpoint& endpoint,
                                   const std::string& path) const {
    return endpoint.base + "/v2/" + repository_.path() + path;
}

void RegistryClient::refuse(const HttpResponse& response, const std::string& what) const {
    throw registry_error(response, repository_, what);
}

std::string RegistryClient::fetch_token(const RegistryEndpoint& endpoint,
                                        const Challenge& challenge, std::stop_token stop) {
    const auto parameter = [&](const std::string& key) {
        const auto found = challenge.parameters.find(key);
        return found == challenge.parameters.end() ? std::string() : found->second;
    };
    const bool may_identify =
        endpoint.role == RegistryEndpoint::Role::registry && !credentials_.empty();
    const std::string realm = parameter("realm");
    if (!realm.starts_with("http://") && !is_https(realm))
        throw Error(ErrorKind::invalid, "the registry names no usable token service: '{}'", realm);
    const std::string host = host_of_realm(realm);
    if (may_identify && is_https(endpoint.base) && !is_https(realm))
        throw Error(ErrorKind::denied, "refusing to send credentials in the open to {}", realm);
    std::string scope = parameter("scope");
    if (scope.empty()) scope = "repository:" + repository_.path() + ":pull";

    HttpRequest request;
    request.body_limit = kMaxTokenBytes;
    std::string query = "scope=" + url_encode(scope);
    if (const std::string service = parameter("service"); !service.empty())
        query.insert(0, "service=" + url_encode(service) + "&");
    if (may_identify && !credentials_.identity_token.empty()) {
        request.url = realm;
        request.form = "grant_type=refresh_token&client_id=docker&refresh_token=" +
                       url_encode(credentials_.identity_token) + "&" + query;
    } else {
        request.url = query_joined(realm, query);
        if (may_identify) {
            request.url += "&account=" + url_encode(credentials_.username);
            request.authorization = basic(credentials_);
        }
    }
    const TlsCheck check = is_insecure(settings_, host) ? TlsCheck::accept_any : TlsCheck::verify;
    const HttpResponse response = transport_.exchange(
        request, read_host_tls(settings_.certificate_directories, host, check), stop);
    if (response.status != 200) refuse(response, "token for " + repository_.familiar_name());
    const nlohmann::json document = parse_json(response.body);
    const JsonReader reader(document, "token");
    std::string token = reader.string("token");
    if (token.empty()) token = reader.string("access_token");
    if (token.empty() || token.find_first_of("\r\n") != std::string::npos)
        throw Error(ErrorKind::invalid, "the token service {} gave no token", realm);
    return token;
}

std::string RegistryClient::authorize(const RegistryEndpoint& endpoint, const HttpResponse& refused,
                                      std::stop_token stop) {
    const auto header = refused.headers.find("www-authenticate");
    if (header == refused.headers.end()) return "";
    const bool may_identify = endpoint.role == RegistryEndpoint::Role::registry;
    for (const Challenge& challenge : parse_challenges(header->second)) {
        if (challenge.scheme == "bearer") {
            if (may_identify && !credentials_.registry_token.empty())
                return "Bearer " + credentials_.registry_token;
            return "Bearer " + fetch_token(endpoint, challenge, stop);
        }
        if (challenge.scheme == "basic" && may_identify && !credentials_.username.empty())
            return basic(credentials_);
    }
    return "";
}

std::size_t RegistryClient::current() {
    const std::lock_guard lock(mutex_);
    return current_;
}

HttpResponse RegistryClient::get(const RegistryEndpoint& endpoint, HttpRequest request,
                                 std::stop_token stop) {
    const HostTls tls =
        read_host_tls(settings_.certificate_directories, endpoint.host, endpoint.check);
    {
        const std::lock_guard lock(mutex_);
        request.authorization = authorization_[endpoint.base];
    }
    HttpResponse response = transport_.exchange(request, tls, stop);
    if (response.status != 401) return response;
    std::string fresh = authorize(endpoint, response, stop);
    if (fresh.empty() || fresh == request.authorization) return response;
    request.authorization = fresh;
    response = transport_.exchange(request, tls, stop);
    if (response.status == 401 && fresh.starts_with("Bearer ") && credentials_.empty()) {
        // A token without the right: Docker words that as a refusal, not as a wish for a login.
        response.status = 403;
        response.body.clear();
    }
    const std::lock_guard lock(mutex_);
    authorization_[endpoint.base] = std::move(fresh);
    return response;
}

HttpResponse RegistryClient::get_from_any(const std::string& path,
                                          const std::vector<std::string>& headers,
                                          std::size_t limit, std::stop_token stop) {
    std::size_t index = current();
    std::exception_ptr over_https;
    std::string mirror_failures;
    for (;; ++index) {
        const RegistryEndpoint& endpoint = endpoints_.at(index);
        const bool is_last = index + 1 == endpoints_.size();
        const bool is_mirror = endpoint.role == RegistryEndpoint::Role::mirror;
        try {
            HttpRequest request;
            request.url = url_of(endpoint, path);
            request.headers = headers;
            request.body_limit = limit;
            HttpResponse response = get(endpoint, std::move(request), stop);
            if (is_mirror && response.status != 200 && !is_last) continue;
            if (over_https && wants_https(response)) std::rethrow_exception(over_https);
            const std::lock_guard lock(mutex_);
            current_ = index;
            return response;
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::cancelled) throw;
            if (is_last && !mirror_failures.empty())
                throw Error::with_text(error.kind(), error.message() + mirror_failures);
            if (is_last || (!is_mirror && error.kind() != ErrorKind::unavailable)) throw;
            if (is_mirror) mirror_failures += fmt::format(" (mirror: {})", error.message());
            if (!is_mirror) over_https = std::current_exception();
        }
    }
}

FetchedManifest RegistryClient::manifest(const Reference& reference, std::stop_token stop) {
    static const std::vector<std::string> kAccept = [] {
        std::vector<std::string> result;
        for (const std::string_view type :
             {oci::kOciIndex, oci::kDockerManifestList, oci::kOciManifest, oci::kDockerManifest})
            result.push_back("Accept: " + std::string(type));
        return result;
    }();
    const std::string name = reference.digest() ? reference.digest()->str() : *reference.tag();
    HttpResponse response =
        get_from_any("/manifests/" + name, kAccept, oci::kMaxManifestBytes, stop);
    if (response.status != 200) refuse(response, "manifest for " + reference.familiar());
    const Digest digest = archive::sha256(response.body);
    if (reference.digest() && digest != *reference.digest())
        throw Error(ErrorKind::invalid, "manifest verification failed for digest {}",
                    reference.digest()->str());
    return {std::move(response.body), response.headers["content-type"], digest};
}

void RegistryClient::blob(const Digest& digest, std::int64_t offset, const TakeBytes& take,
                          std::stop_token stop) {
    for (std::size_t index = current();; ++index) {
        const RegistryEndpoint& endpoint = endpoints_.at(index);
        const bool may_go_on =
            endpoint.role == RegistryEndpoint::Role::mirror && index + 1 < endpoints_.size();
        try {
            blob_from(endpoint, digest, offset, take, stop);
            return;
        } catch (const Error& error) {
            // Only what the mirror did wrong: not a full disk here, and not wrong bytes.
            const bool is_refusal = error.kind() == ErrorKind::unavailable ||
                                    error.kind() == ErrorKind::not_found ||
                                    error.kind() == ErrorKind::unauthorized;
            if (!may_go_on || !is_refusal) throw;
        }
    }
}

void RegistryClient::blob_from(const RegistryEndpoint& endpoint, const Digest& digest,
                               std::int64_t offset, const TakeBytes& take, std::stop_token stop) {
    HttpRequest request;
    request.url = url_of(endpoint, "/blobs/" + digest.str());
    if (offset > 0) request.headers.push_back(fmt::format("Range: bytes={}-", offset));
    std::int64_t position = 0;
    bool begun = false;
    request.on_body = [&](long status, std::string_view bytes) {
        if (!begun) position = status == 206 ? offset : 0;
        begun = true;
        take(position, bytes);
        position += static_cast<std::int64_t>(bytes.size());
    };
    const HttpResponse response = get(endpoint, std::move(request), stop);
    if (response.status >= 200 && response.status < 300) return;
    if (endpoint.role == RegistryEndpoint::Role::mirror)
        throw Error(ErrorKind::unavailable, "the mirror {} has no blob {}", endpoint.base,
                    digest.str());
    refuse(response, "blob " + digest.str());
}

std::vector<std::string> RegistryClient::tags(std::stop_token stop) {
    std::vector<std::string> result;
    std::string path = "/tags/list";
    const std::string prefix = "/v2/" + repository_.path();
    for (std::size_t page = 0; page < kMaxTagPages && !path.empty(); ++page) {
        const HttpResponse response = get_from_any(path, {}, oci::kMaxManifestBytes, stop);
        if (response.status != 200) refuse(response, "repository " + repository_.familiar_name());
        const nlohmann::json document = parse_json(response.body);
        for (std::string& tag : JsonReader(document, "tags").strings("tags"))
            if (Reference::is_valid_tag(tag)) result.push_back(std::move(tag));
        const std::string next = next_page(response);
        path = next.starts_with(prefix) ? next.substr(prefix.size()) : "";
    }
    return result;
}

}  // namespace berth::image
