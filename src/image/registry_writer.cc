#include "image/registry_writer.h"

#include <algorithm>
#include <exception>

#include "base/error.h"
#include "base/text.h"
#include "image/registry_error.h"

namespace berth::image {
namespace {

std::vector<RegistryEndpoint> writable(std::vector<RegistryEndpoint> endpoints) {
    std::erase_if(endpoints, [](const RegistryEndpoint& endpoint) {
        return endpoint.role == RegistryEndpoint::Role::mirror;
    });
    return endpoints;
}

std::string without_scheme(const std::string& url) {
    const std::size_t scheme = url.find("://");
    return scheme == std::string::npos ? url : url.substr(scheme + 3);
}

std::string with_digest(const std::string& url, const Digest& digest) {
    return url + (url.find('?') == std::string::npos ? "?" : "&") +
           "digest=" + url_encode(digest.str());
}

}  // namespace

RegistryWriter::RegistryWriter(const RegistrySettings& settings, Reference repository,
                               Credentials credentials)
    : repository_(std::move(repository)),
      session_(settings, writable(endpoints_of(settings, repository_)), std::move(credentials),
               {.name = repository_.familiar_name(),
                .scope = "repository:" + repository_.path() + ":pull,push",
                .wish = TokenWish::access}) {}

void RegistryWriter::connect(std::stop_token stop) {
    std::exception_ptr over_https;
    for (current_ = 0;; ++current_) {
        const bool is_last = current_ + 1 == session_.endpoints().size();
        try {
            HttpRequest ping;
            ping.url = endpoint().base + "/v2/";
            const HttpResponse response = exchange(std::move(ping), stop);
            if (over_https && wants_https(response)) std::rethrow_exception(over_https);
            if (response.status >= 400) throw push_error(response, "push to " + endpoint().host);
            return;
        } catch (const Error& error) {
            if (is_last || error.kind() != ErrorKind::unavailable) throw;
            over_https = std::current_exception();
        }
    }
}

HttpRequest RegistryWriter::request(const std::string& method, const std::string& path) const {
    HttpRequest result;
    result.method = method;
    result.url = endpoint().base + "/v2/" + repository_.path() + path;
    if (method != "POST") return result;
    result.headers.emplace_back("Content-Type:");  // libcurl would call nothing a form
    result.body = "";
    return result;
}

HttpResponse RegistryWriter::exchange(HttpRequest request, std::stop_token stop,
                                      const std::string& more_scope) {
    try {
        return session_.exchange(endpoint(), std::move(request), stop, more_scope);
    } catch (const Error& error) {
        // A push that lacks a login has this text alone; scripts look for it.
        if (!error.message().ends_with("no basic auth credentials")) throw;
        throw Error(ErrorKind::internal, "no basic auth credentials");
    }
}

UploadLocation RegistryWriter::location_of(const HttpResponse& response) const {
    const auto location = response.headers.find("location");
    if (location == response.headers.end() || location->second.empty())
        throw Error(ErrorKind::internal, "{} names no place for the upload", endpoint().host);
    const std::string& url = location->second;
    if (url.starts_with('/')) return {endpoint().base + url};
    if (!is_web_url(url))
        throw Error(ErrorKind::internal, "{} names no usable place for the upload: '{}'",
                    endpoint().host, url);
    // Behind a proxy that ends TLS registries name themselves by http://.
    const std::string rest = without_scheme(url);
    if (rest.starts_with(without_scheme(endpoint().base) + "/"))
        return {endpoint().base + rest.substr(without_scheme(endpoint().base).size())};
    return {url};
}

bool RegistryWriter::has_blob(const Digest& digest, std::stop_token stop) {
    const HttpResponse response = exchange(request("HEAD", "/blobs/" + digest.str()), stop);
    if (response.status == 200) return true;
    if (response.status == 404) return false;
    throw push_error(response, "blob " + digest.str());
}

bool RegistryWriter::mount(const Digest& digest, const std::string& from, std::stop_token stop) {
    HttpRequest wish = request(
        "POST", "/blobs/uploads/?mount=" + url_encode(digest.str()) + "&from=" + url_encode(from));
    const HttpResponse response = exchange(std::move(wish), stop, "repository:" + from + ":pull");
    return response.status == 201;
}

UploadLocation RegistryWriter::begin_upload(std::stop_token stop) {
    const HttpResponse response = exchange(request("POST", "/blobs/uploads/"), stop);
    if (response.status != 202) throw push_error(response, "starting an upload");
    return location_of(response);
}

UploadLocation RegistryWriter::send(const UploadLocation& upload, GiveBytes body,
                                    std::stop_token stop) {
    HttpRequest patch;
    patch.method = "PATCH";
    patch.url = upload.url;
    patch.headers.emplace_back("Content-Type: application/octet-stream");
    patch.upload = std::move(body);
    const HttpResponse response = exchange(std::move(patch), stop);
    if (response.status != 202 && response.status != 204)
        throw push_error(response, "uploading a blob");
    return location_of(response);
}

void RegistryWriter::commit(const UploadLocation& upload, const Digest& digest,
                            std::stop_token stop) {
    HttpRequest put;
    put.method = "PUT";
    put.url = with_digest(upload.url, digest);
    put.headers.emplace_back("Content-Type: application/octet-stream");
    put.body = "";
    const HttpResponse response = exchange(std::move(put), stop);
    if (response.status != 201) throw push_error(response, "blob " + digest.str());
}

void RegistryWriter::put_blob(const Digest& digest, const std::string& bytes,
                              std::stop_token stop) {
    HttpRequest put;
    put.method = "PUT";
    put.url = with_digest(begin_upload(stop).url, digest);
    put.headers.emplace_back("Content-Type: application/octet-stream");
    put.body = bytes;
    const HttpResponse response = exchange(std::move(put), stop);
    if (response.status != 201) throw push_error(response, "blob " + digest.str());
}

void RegistryWriter::put_manifest(const std::string& tag, const std::string& text,
                                  const std::string& media_type, std::stop_token stop) {
    HttpRequest put = request("PUT", "/manifests/" + tag);
    put.headers.push_back("Content-Type: " + media_type);
    put.body = text;
    const HttpResponse response = exchange(std::move(put), stop);
    if (response.status != 201) throw push_error(response, "manifest of " + tag);
}

}  // namespace berth::image
