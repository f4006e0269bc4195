// Credentials for a registry and the challenges it answers with. Pure. Secrets are never logged.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace berth::image {

struct Credentials final {
    std::string username;
    std::string password;
    std::string identity_token;  // a refresh token
    std::string registry_token;  // a bearer token, used as it is
    std::string server_address;
    bool empty() const {
        return username.empty() && identity_token.empty() && registry_token.empty();
    }
};

/// The header X-Registry-Auth; missing or garbage reads as anonymous, as Docker's pull does.
Credentials decode_registry_auth(std::string_view header);

struct Challenge final {
    std::string scheme;  // lower case
    std::map<std::string, std::string> parameters;
};
/// The header WWW-Authenticate, possibly with several challenges. Malformed parts are left out.
std::vector<Challenge> parse_challenges(std::string_view header);

}  // namespace berth::image
