#include "image/account.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/registry_host.h"
#include "image/registry_error.h"
#include "image/registry_session.h"

namespace berth::image {
namespace {

constexpr std::string_view kHubIndex = "index.docker.io";
constexpr std::size_t kMaxSearchBytes = 8U << 20;

/// "https://index.docker.io/v1/" → "index.docker.io", which is Docker Hub's other name too.
std::string login_host(std::string_view server) {
    const std::string host = host_of_server(server);
    return host.empty() || host == "docker.io" ? std::string(kHubIndex) : host;
}

struct Answer final {
    std::string url;  // that was asked
    HttpResponse response;
};

/// Tries the endpoints in order; what went wrong over https says more than http's refusal.
Answer ask(RegistrySession& session, const std::string& path, std::size_t limit,
           std::stop_token stop) {
    std::exception_ptr over_https;
    for (const RegistryEndpoint& endpoint : session.endpoints()) {
        const bool is_last = &endpoint == &session.endpoints().back();
        try {
            HttpRequest request;
            request.url = endpoint.base + path;
            request.body_limit = limit;
            Answer answer{.url = request.url, .response = {}};
            answer.response = session.exchange(endpoint, std::move(request), stop);
            if (over_https && wants_https(answer.response)) std::rethrow_exception(over_https);
            return answer;
        } catch (const Error& error) {
            if (is_last || error.kind() != ErrorKind::unavailable) throw;
            over_https = std::current_exception();
        }
    }
    throw Error(ErrorKind::internal, "no endpoint for {}", path);
}

std::string_view reason_of(long status) {
    return status == 401 ? " Unauthorized" : status == 403 ? " Forbidden" : "";
}

struct SearchTarget final {
    std::string host;
    std::string word;
};

SearchTarget split_term(const std::string& term) {
    if (term.find("://") != std::string::npos)
        throw Error(ErrorKind::invalid,
                    "invalid repository name: repository name ({}) should not have a scheme", term);
    const std::string host(registry_host_of(term));
    std::string word = host.empty() ? term : term.substr(host.size() + 1);
    if (!host.empty() && login_host(host) != kHubIndex) return {host, word};
    if (word.starts_with("library/")) word.erase(0, std::string("library/").size());
    return {std::string(kHubIndex), word};
}

std::vector<RegistryEndpoint> search_endpoints(const RegistrySettings& settings,
                                               const std::string& host) {
    if (host != kHubIndex) return endpoints_of_host(settings, host);
    return {{"https://" + host, host, TlsCheck::verify, RegistryEndpoint::Role::registry}};
}

}  // namespace

std::string log_in(const RegistrySettings& settings, const Credentials& credentials,
                   std::stop_token stop) {
    const std::string host = login_host(credentials.server_address);
    RegistrySession session(settings, endpoints_of_host(settings, host), credentials,
                            {.name = host, .scope = "", .wish = TokenWish::identity});
    const auto [asked, response] = ask(session, "/v2/", 1U << 20, stop);
    if (response.status == 200) return session.identity_token();
    const bool is_refusal = response.status == 401 || response.status == 403;
    throw Error(is_refusal ? ErrorKind::unauthorized : ErrorKind::internal,
                "login attempt to {} failed with status: {}{}", asked, response.status,
                reason_of(response.status));
}

std::vector<FoundRepository> search(const RegistrySettings& settings, const std::string& term,
                                    std::int64_t limit, const Credentials& credentials,
                                    std::stop_token stop) {
    const SearchTarget target = split_term(term);
    RegistrySession session(settings, search_endpoints(settings, target.host), credentials,
                            {.name = target.host, .scope = "", .wish = TokenWish::access});
    const std::string path =
        "/v1/search?q=" + url_encode(target.word) + "&n=" + std::to_string(limit);
    const HttpResponse response = ask(session, path, kMaxSearchBytes, stop).response;
    if (response.status != 200)
        throw Error(ErrorKind::internal, "searching {}: unexpected status code {}", target.host,
                    response.status);
    const nlohmann::json document = parse_json(response.body);
    std::vector<FoundRepository> result;
    for (const JsonReader& entry : JsonReader(document, "search").objects("results"))
        result.push_back({.name = entry.string("name"),
                          .description = entry.string("description"),
                          .is_official = entry.boolean("is_official", false),
                          .stars = entry.integer("star_count")});
    return result;
}

}  // namespace berth::image
