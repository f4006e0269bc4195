// A conversation with one registry: its endpoints and what authorises requests there (basic,
// token and identity-token flows). Thread-safe: the threads of a pull or push share it and its
// tokens. Mirrors never see credentials, and no other host does.
#pragma once

#include <exception>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "image/auth.h"
#include "image/registry_endpoint.h"
#include "image/registry_settings.h"
#include "image/transport.h"

namespace berth::image {

enum class TokenWish {
    access,   // for requests
    identity  // `docker login` keeps a refresh token instead of the password
};

struct SessionOptions final {
    std::string name;   // what error texts call it: "alpine", or the registry's host
    std::string scope;  // "repository:library/alpine:pull"; empty: a login
    TokenWish wish = TokenWish::access;
};

class RegistrySession final {
  public:
    /// Borrows the settings. No connection is made yet.
    RegistrySession(const RegistrySettings& settings, std::vector<RegistryEndpoint> endpoints,
                    Credentials credentials, SessionOptions options);

    const std::vector<RegistryEndpoint>& endpoints() const { return endpoints_; }
    /// One exchange, authorised where the endpoint asks for it; `more_scope` is a further one that
    /// it needs. A body that streams is not sent twice: Error{unavailable} when that were needed.
    HttpResponse exchange(const RegistryEndpoint& endpoint, HttpRequest request,
                          std::stop_token stop, const std::string& more_scope = "");
    /// With TokenWish::identity: the token that the last exchange brought, or nothing.
    std::string identity_token();

  private:
    struct Authorization final {
        std::string value;      // of the header; empty: none is to be had
        std::string challenge;  // the scheme that was asked for
    };
    Authorization authorize(const RegistryEndpoint& endpoint, const HttpResponse& refused,
                            const std::string& more_scope, std::stop_token stop);
    HttpRequest token_request(const Challenge& challenge, bool identified,
                              const std::string& more_scope) const;
    std::string fetch_token(const RegistryEndpoint& endpoint, const Challenge& challenge,
                            const std::string& more_scope, std::stop_token stop);

    const RegistrySettings& settings_;
    const std::vector<RegistryEndpoint> endpoints_;
    const Credentials credentials_;
    const SessionOptions options_;
    Transport transport_;

    std::mutex mutex_;                                  // guards what follows
    std::map<std::string, std::string> authorization_;  // header value by endpoint and scope
    std::string identity_token_;
};

/// A TLS server's answer to plain HTTP: what went wrong over https before says more.
bool wants_https(const HttpResponse& response);

}  // namespace berth::image
