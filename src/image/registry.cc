#include "image/registry.h"

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

#include "archive/digester.h"
#include "base/error.h"
#include "base/json.h"
#include "image/registry_error.h"
#include "oci/image_spec.h"

namespace berth::image {
namespace {

constexpr std::size_t kMaxTagPages = 1000;

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

RegistryClient::RegistryClient(const RegistrySettings& settings, Reference repository,
                               Credentials credentials)
    : repository_(std::move(repository)),
      session_(settings, endpoints_of(settings, repository_), std::move(credentials),
               {.name = repository_.familiar_name(),
                .scope = "repository:" + repository_.path() + ":pull",
                .wish = TokenWish::access}) {}

std::string RegistryClient::url_of(const RegistryEndpoint& endpoint,
                                   const std::string& path) const {
    return endpoint.base + "/v2/" + repository_.path() + path;
}

void RegistryClient::refuse(const HttpResponse& response, const std::string& what) const {
    throw registry_error(response, repository_.familiar_name(), what);
}

std::size_t RegistryClient::current() {
    const std::lock_guard lock(mutex_);
    return current_;
}

HttpResponse RegistryClient::get_from_any(const std::string& path,
                                          const std::vector<std::string>& headers,
                                          std::size_t limit, std::stop_token stop) {
    std::size_t index = current();
    std::exception_ptr over_https;
    std::string mirror_failures;
    for (;; ++index) {
        const RegistryEndpoint& endpoint = session_.endpoints().at(index);
        const bool is_last = index + 1 == session_.endpoints().size();
        const bool is_mirror = endpoint.role == RegistryEndpoint::Role::mirror;
        try {
            HttpRequest request;
            request.url = url_of(endpoint, path);
            request.headers = headers;
            request.body_limit = limit;
            HttpResponse response = session_.exchange(endpoint, std::move(request), stop);
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
        const RegistryEndpoint& endpoint = session_.endpoints().at(index);
        const bool may_go_on = endpoint.role == RegistryEndpoint::Role::mirror &&
                               index + 1 < session_.endpoints().size();
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
    const HttpResponse response = session_.exchange(endpoint, std::move(request), stop);
    if (response.status >= 200 && response.status < 300) return;
    if (endpoint.role == RegistryEndpoint::Role::mirror)
        throw Error(ErrorKind::unavailable, "the mirror {} has no blob {}", endpoint.base,
                    digest.str());
    refuse(response, "blob " + digest.str());
}

std::string RegistryClient::small_blob(const oci::Descriptor& descriptor, std::stop_token stop) {
    if (descriptor.size > static_cast<std::int64_t>(oci::kMaxConfigBytes))
        throw Error(ErrorKind::invalid, "image configuration of {} bytes is larger than {}",
                    descriptor.size, oci::kMaxConfigBytes);
    std::string text;
    const auto take = [&](std::int64_t position, std::string_view bytes) {
        text.resize(static_cast<std::size_t>(position));
        text += bytes;
        if (text.size() > static_cast<std::size_t>(descriptor.size))
            throw Error(ErrorKind::invalid, "image config verification failed for digest {}",
                        descriptor.digest.str());
    };
    blob(descriptor.digest, 0, take, stop);
    if (archive::sha256(text) != descriptor.digest)
        throw Error(ErrorKind::invalid, "image config verification failed for digest {}",
                    descriptor.digest.str());
    return text;
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
